// The JDK's pools in the race. `java Race CONTENDER` reads laps, one per line (`KIND PRODUCERS WORKERS SIZE`), and answers each with
// `= VALUE…` or `! WHY NOT`. The laps are those of the Rust side: same shapes, same counting (one store per task to a counter that only
// its worker writes), same windows. A task without a handle is a Runnable of its own with two longs; one with a handle a Callable.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;

public final class Race {
    static final int WINDOW = 1000, TOGETHER = 64, BURST = 1000, CHILDREN = 64;
    static volatile Counter[] counters = new Counter[0];
    static final AtomicLong lastEnd = new AtomicLong();

    static final class NotOffered extends Exception {
        NotOffered(String why) { super(why); }
    }

    /** Counts what its thread has ended; written by that thread only. */
    static final class Counter extends AtomicLong {
        void ended() { setRelease(getPlain() + 1); }

        static synchronized Counter add() {
            Counter[] longer = Arrays.copyOf(counters, counters.length + 1);
            longer[longer.length - 1] = new Counter();
            counters = longer;
            return longer[longer.length - 1];
        }
    }

    interface Counting { Counter counter(); }

    static final class Worker extends Thread implements Counting {
        final Counter counter = Counter.add();
        Worker(Runnable work) { super(work); setDaemon(true); }
        public Counter counter() { return counter; }
    }

    static final class ForkJoinWorker extends ForkJoinWorkerThread implements Counting {
        final Counter counter = Counter.add();
        ForkJoinWorker(ForkJoinPool pool) { super(pool); }
        public Counter counter() { return counter; }
    }

    static void ended() { ((Counting) Thread.currentThread()).counter().ended(); }

    static final class Small implements Runnable, Callable<Long> {
        final long first, second;
        Small(long number) { first = number; second = ~number; }
        public void run() { ended(); }
        public Long call() { ended(); return first; }
    }

    static long total() {
        long total = 0;
        for (Counter counter : counters) total += counter.getAcquire();
        return total;
    }

    static void waitFor(long goal) {
        while (total() < goal) LockSupport.parkNanos(20_000);
    }

    static void workFor(long nanos) {
        long begin = System.nanoTime();
        while (System.nanoTime() - begin < nanos) Thread.onSpinWait();
    }

    static ExecutorService start(String name, int workers, int queue, boolean bounded) throws Exception {
        ExecutorService pool;
        switch (name) {
            case "jdk linked", "jdk array" -> {
                BlockingQueue<Runnable> line =
                    bounded || name.equals("jdk array")
                        ? new ArrayBlockingQueue<>(Math.max(queue, 1))
                        : new LinkedBlockingQueue<>();
                if (bounded && name.equals("jdk linked")) line = new LinkedBlockingQueue<>(queue);
                RejectedExecutionHandler wait = (task, at) -> {
                    try {
                        at.getQueue().put(task);
                    } catch (InterruptedException e) {
                        throw new RejectedExecutionException(e);
                    }
                };
                ThreadPoolExecutor executor =
                    new ThreadPoolExecutor(workers, workers, 60, TimeUnit.SECONDS, line, Worker::new, wait);
                executor.prestartAllCoreThreads();
                pool = executor;
            }
            case "jdk forkjoin" -> {
                if (bounded) throw new NotOffered("its queue has no bound at which a submit waits");
                pool = new ForkJoinPool(workers, ForkJoinWorker::new, null, true);
            }
            case "jdk scheduled" -> {
                ScheduledThreadPoolExecutor executor = new ScheduledThreadPoolExecutor(workers, Worker::new);
                executor.prestartAllCoreThreads();
                pool = executor;
            }
            default -> throw new NotOffered("is not a contender of the JDK");
        }
        for (int round = 0; round < 50; round++) {
            List<Future<Long>> futures = new ArrayList<>();
            for (int i = 0; i < 20; i++) futures.add(pool.submit((Callable<Long>) new Small(i)));
            for (Future<Long> future : futures) future.get();
        }
        return pool;
    }

    interface Share { void submit(int size) throws Exception; }

    static long produce(int producers, int size, Share share) throws Exception {
        if (producers == 1) {
            long begin = System.nanoTime();
            share.submit(size);
            return begin;
        }
        CyclicBarrier barrier = new CyclicBarrier(producers);
        List<FutureTask<Long>> begins = new ArrayList<>();
        for (int i = 0; i < producers; i++) {
            FutureTask<Long> producer = new FutureTask<>(() -> {
                barrier.await();
                long begin = System.nanoTime();
                share.submit(size / producers);
                return begin;
            });
            begins.add(producer);
            new Thread(producer).start();
        }
        long first = Long.MAX_VALUE;
        for (FutureTask<Long> begin : begins) first = Math.min(first, begin.get());
        return first;
    }

    static double[] fire(ExecutorService pool, int producers, int size) throws Exception {
        long before = total();
        long begin = produce(producers, size, share -> {
            for (int i = 0; i < share; i++) pool.execute(new Small(i));
        });
        waitFor(before + size / producers * producers);
        return new double[] {(System.nanoTime() - begin) / (double) size};
    }

    static double[] handle(ExecutorService pool, int producers, int size) throws Exception {
        long begin = produce(producers, size, share -> {
            List<Future<Long>> futures = new ArrayList<>(WINDOW);
            for (int round = 0; round < share / WINDOW; round++) {
                for (int i = 0; i < WINDOW; i++) futures.add(pool.submit((Callable<Long>) new Small(i)));
                long sum = 0;
                for (Future<Long> future : futures) sum += future.get();
                if (sum != WINDOW * (WINDOW - 1) / 2) throw new IllegalStateException("lost tasks");
                futures.clear();
            }
        });
        return new double[] {(System.nanoTime() - begin) / (double) size};
    }

    static double[] many(ExecutorService pool, int size) throws Exception {
        long begin = System.nanoTime();
        for (int round = 0; round < size / TOGETHER; round++) {
            List<Small> tasks = new ArrayList<>(TOGETHER);
            for (int i = 0; i < TOGETHER; i++) tasks.add(new Small(i));
            for (Future<Long> future : pool.invokeAll(tasks)) future.get();
        }
        return new double[] {(System.nanoTime() - begin) / (double) size};
    }

    static double[] burst(ExecutorService pool, int size) throws Exception {
        long spent = 0;
        for (int round = 0; round < size / BURST; round++) {
            Thread.sleep(1);
            long before = total(), begin = System.nanoTime();
            for (int i = 0; i < BURST; i++) pool.execute(new Small(i));
            waitFor(before + BURST);
            spent += System.nanoTime() - begin;
        }
        return new double[] {spent / (double) (size / BURST * BURST)};
    }

    static double[] pingPong(ExecutorService pool, int size) throws Exception {
        long begin = System.nanoTime();
        for (int i = 0; i < size; i++) pool.submit((Callable<Long>) new Small(i)).get();
        return new double[] {(System.nanoTime() - begin) / (double) size};
    }

    static double[] idle(ExecutorService pool, int size) throws Exception {
        long[] waits = new long[size];
        for (int i = 0; i < size; i++) {
            Thread.sleep(1);
            long begin = System.nanoTime();
            waits[i] = pool.submit((Callable<Long>) () -> System.nanoTime() - begin).get();
        }
        Arrays.sort(waits);
        return new double[] {waits[size * 50 / 100], waits[Math.min(size * 99 / 100, size - 1)]};
    }

    static double[] late(ExecutorService pool, int size) throws Exception {
        long[] waits = new long[size];
        int[] points = new int[1];
        CountDownLatch done = new CountDownLatch(1);
        long begin = System.nanoTime();
        ((ScheduledExecutorService) pool).scheduleAtFixedRate(() -> {
            long now = System.nanoTime();
            int point = points[0]++;
            if (point < size) waits[point] = Math.max(now - begin - (point + 1) * 1_000_000L, 0);
            if (point == size - 1) done.countDown();
        }, 1, 1, TimeUnit.MILLISECONDS);
        done.await();
        Arrays.sort(waits);
        return new double[] {waits[size * 50 / 100], waits[Math.min(size * 99 / 100, size - 1)]};
    }

    static double[] fan(ExecutorService pool, int size) throws Exception {
        long begin = System.nanoTime();
        for (int family = 0; family < size / CHILDREN; family++) {
            CountDownLatch done = new CountDownLatch(1);
            AtomicInteger left = new AtomicInteger(CHILDREN);
            pool.execute(() -> {
                for (int i = 0; i < CHILDREN; i++) {
                    pool.execute(() -> {
                        if (left.decrementAndGet() == 0) done.countDown();
                    });
                }
            });
            done.await();
        }
        return new double[] {(System.nanoTime() - begin) / (double) (size / CHILDREN * CHILDREN)};
    }

    static double[] uneven(ExecutorService pool, int size) {
        long before = total(), begin = System.nanoTime();
        for (int i = 0; i < size; i++) {
            long nanos = i % 100 == 50 ? 1_000_000 : 1_000;
            pool.execute(() -> {
                workFor(nanos);
                ended();
            });
        }
        waitFor(before + size);
        return new double[] {(System.nanoTime() - begin) / (double) size};
    }

    static void terminate(ExecutorService pool) throws Exception {
        pool.shutdown();
        if (!pool.awaitTermination(60, TimeUnit.SECONDS)) throw new NotOffered("did not terminate in 60 s");
    }

    static double[] drain(ExecutorService pool, int size) throws Exception {
        lastEnd.set(Long.MIN_VALUE);
        long before = total();
        for (int i = 0; i < size; i++) {
            pool.execute(() -> {
                workFor(5_000);
                lastEnd.accumulateAndGet(System.nanoTime(), Math::max);
                ended();
            });
        }
        terminate(pool);
        long now = System.nanoTime();
        if (total() - before != size) throw new NotOffered("WRONG: terminated before every task had ended");
        return new double[] {now - lastEnd.get()};
    }

    static double[] stretch(ExecutorService pool, int workers, int size) throws Exception {
        long begin = System.nanoTime();
        for (int i = 0; i < size; i++) pool.execute(() -> workFor(1_000_000));
        terminate(pool);
        return new double[] {(System.nanoTime() - begin) / (double) size * workers};
    }

    static CountDownLatch hold(ExecutorService pool, int workers) throws Exception {
        CountDownLatch held = new CountDownLatch(workers), gate = new CountDownLatch(1);
        for (int i = 0; i < workers; i++) {
            pool.execute(() -> {
                held.countDown();
                boolean open = false;
                while (!open) {
                    try {
                        gate.await();
                        open = true;
                    } catch (InterruptedException e) {
                        // shutdownNow interrupts; the gate opens right after.
                    }
                }
            });
        }
        held.await();
        return gate;
    }

    static double[] abort(ExecutorService pool, int workers, int size) throws Exception {
        if (pool instanceof ForkJoinPool) throw new NotOffered("has no call that hands unstarted tasks back");
        CountDownLatch gate = hold(pool, workers);
        List<Future<Long>> futures = new ArrayList<>(size);
        for (int i = 0; i < size; i++) futures.add(pool.submit((Callable<Long>) new Small(i)));
        long begin = System.nanoTime();
        int returned = pool.shutdownNow().size();
        gate.countDown();
        pool.awaitTermination(60, TimeUnit.SECONDS);
        double elapsed = System.nanoTime() - begin;
        if (returned != size) throw new NotOffered("WRONG: " + returned + " of " + size + " came back");
        return new double[] {elapsed};
    }

    static double[] millions(ExecutorService pool, int workers, int size) throws Exception {
        CountDownLatch gate = hold(pool, workers);
        long before = total(), begin = System.nanoTime();
        for (int i = 0; i < size; i++) pool.execute(new Small(i));
        gate.countDown();
        waitFor(before + size);
        return new double[] {(System.nanoTime() - begin) / (double) size};
    }

    static double[] lap(String name, String[] words) throws Exception {
        String kind = words[0];
        int producers = Integer.parseInt(words[1]), workers = Integer.parseInt(words[2]);
        int size = Integer.parseInt(words[3]);
        counters = new Counter[0];
        boolean bounded = kind.equals("bounded"), scheduled = name.equals("jdk scheduled");
        if (kind.equals("late") && !scheduled) throw new NotOffered("has no schedules");
        if (scheduled && !kind.equals("late")) throw new NotOffered("runs the 1 ms job only");
        ExecutorService pool = start(name, workers, bounded ? 128 : size + 2 * WINDOW, bounded);
        try {
            return switch (kind) {
                case "fire", "bounded" -> fire(pool, producers, size);
                case "handle" -> handle(pool, producers, size);
                case "many" -> many(pool, size);
                case "burst" -> burst(pool, size);
                case "ping-pong" -> pingPong(pool, size);
                case "idle" -> idle(pool, size);
                case "late" -> late(pool, size);
                case "fan" -> fan(pool, size);
                case "uneven" -> uneven(pool, size);
                case "drain" -> drain(pool, size);
                case "stretch" -> stretch(pool, workers, size);
                case "abort" -> abort(pool, workers, size);
                case "millions" -> millions(pool, workers, size);
                default -> throw new NotOffered("this scenario is for Rust contenders only");
            };
        } finally {
            pool.shutdownNow();
        }
    }

    public static void main(String[] args) throws Exception {
        BufferedReader laps = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = laps.readLine()) != null; ) {
            try {
                StringBuilder answer = new StringBuilder("=");
                for (double value : lap(args[0], line.trim().split(" "))) answer.append(' ').append(value);
                System.out.println(answer);
            } catch (NotOffered why) {
                System.out.println("! " + why.getMessage());
            }
        }
    }
}
