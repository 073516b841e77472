/**
 * What a worker function is given beside its data, if it requires two parameters: `(data, task) => result`. One whose second parameter has a default, or
 * is a rest parameter, is called with the data alone, and can ask for its task with `currentTask`.
 */
export interface Task {
  /** A number where a number can hold it, else a bigint. */
  readonly id: number | bigint;
  /** 1 for the first attempt. */
  readonly attempt: number;
  readonly key: string | undefined;
  /** Of the request. With any but `application/json` the data is a Buffer. */
  readonly contentType: string;
  /** How many milliseconds it may still run; undefined without a deadline. */
  readonly deadlineMs: number | undefined;
  /** Aborted, with an AbortError that has the pool's reason as its message, once a cancel was asked. */
  readonly signal: AbortSignal;
  readonly isCancelled: boolean;
  progress(text: string): void;
  log(level: Level, text: string): void;
}

export type Level = 'debug' | 'info' | 'warn' | 'error';

/** True in a worker process of an ebbtide pool. */
export const isEbbtideWorker: boolean;
/** What the pool gave its workers. */
export const workerData: any;
/** `fn` gives the state a replacement starts from: a value for JSON, bytes, or a promise of one; undefined for none. */
export function onSnapshot(fn: () => unknown): void;
/** `fn` is called with what a predecessor's snapshot gave, before the worker is ready. */
export function onRestore(fn: (state: any) => unknown): void;
/**
 * The running task. Where several run at a time (`EBBTIDE_CONCURRENCY`) it is known only in the synchronous part of a function, before its first `await`;
 * else, and where none runs, undefined.
 */
export function currentTask(): Task | undefined;
/** A line for the pool's log. It belongs to the running task, where only one can be meant, else to none. */
export function log(level: Level, text: string): void;
