//! Options and starts: what is wrong is named, what is given arrives, and files that were written for others run.

use std::time::Duration;

use ebbtide::{ByteSize, Memory, Outcome, Pool, Retirement, WorkerCommand};
use serde_json::{Value, json};

use crate::alone::{B, G, Test};
use crate::kinds::{Kind, each, each_script, node, python};
use crate::rig::{Builder, Rig, ask, ended, value};
use crate::tools::{LONG, file, fresh, now};

/// Every test of this file.
pub(crate) const TESTS: &[Test] = crate::alone::tests! {
    ("w_12_every_bad_option_is_named", G, w_12_every_bad_option_is_named),
    ("w_13_a_worker_is_not_ready_before_its_start_is_over", B, w_13_a_worker_is_not_ready_before_its_start_is_over),
    ("w_13_environment_arguments_and_data_arrive", B, w_13_environment_arguments_and_data_arrive),
    ("w_13_named_functions_and_missing_ones", B, w_13_named_functions_and_missing_ones),
    ("w_13_a_start_that_fails_says_where", B, w_13_a_start_that_fails_says_where),
    ("w_13_an_interpreter_that_is_missing_is_named", B, w_13_an_interpreter_that_is_missing_is_named),
    ("w_15_files_written_for_others_run_unmodified", B, w_15_files_written_for_others_run_unmodified),
};

/// Worker files as Piscina's documentation and tests have them, and plain Python. Each adds `a` and `b`.
const UNMODIFIED: [(&str, &str); 13] = [
    ("sync.js", "module.exports = ({ a, b }) => a + b;"),
    (
        "async.js",
        "const { promisify } = require('util'); const sleep = promisify(setTimeout); module.exports = async ({ a, b }) => { await sleep(5); return a + b; };",
    ),
    ("default.mjs", "export default ({ a, b }) => a + b;"),
    ("eval.js", "'use strict'; module.exports = ({ a, b }) => eval(`${a} + ${b}`);"),
    (
        "vm.js",
        "const vm = require('vm'); module.exports = ({ a, b }) => { const c = { a, b, res: null }; new vm.Script('res = a + b').runInNewContext(c); return c.res; };",
    ),
    (
        "thread.js",
        "const { isMainThread, parentPort } = require('worker_threads'); const { workerData, move } = require('piscina'); module.exports = ({ a, b }) => a + b;",
    ),
    ("plain.py", "def f(request):\n    return request['a'] + request['b']\n"),
    (
        "later.py",
        "import asyncio\nasync def f(request):\n    await asyncio.sleep(0.005)\n    return request['a'] + request['b']\n",
    ),
    // Others call with one argument: the rest of the parameters is the function's own.
    ("start.js", "module.exports = ({ a, b }, start = 0) => [a, b].reduce((sum, x) => sum + x, start);"),
    (
        "memo.mjs",
        "export default async function sum({ a, b }, memo = new Map()) { if (b === 0) return memo.get('sum') ?? a; memo.set('sum', a + 1); return sum({ a: a + 1, b: b - 1 }, memo); }",
    ),
    (
        "arguments.js",
        "module.exports = function (...all) { return all.length === 1 ? all[0].a + all[0].b : -1; };",
    ),
    (
        "method.py",
        "class Model:\n    def predict(self, request, scale=1):\n        return scale * (request['a'] + request['b'])\nf = Model().predict\n",
    ),
    (
        "loop.py",
        "import asyncio\nasync def add(a, b):\n    await asyncio.sleep(0)\n    return a + b\n\
         def f(request):\n    return asyncio.run(add(request['a'], request['b']))\n",
    ),
];

fn w_12_every_bad_option_is_named() {
    type Set = fn(Builder) -> Builder;
    let bad: [(&str, Set); 12] = [
        ("workers", |pool| pool.workers(0..=0)),
        #[expect(clippy::reversed_empty_ranges, reason = "that is what is wrong with it")]
        ("workers", |pool| pool.workers(3..=2)),
        ("queue", |pool| pool.queue(0)),
        ("credits", |pool| pool.credits(0)),
        ("credits", |pool| pool.credits(5_000)),
        ("start_timeout", |pool| pool.start_timeout(Duration::ZERO)),
        ("max_body", |pool| pool.max_body(10)),
        ("memory", |pool| pool.memory(Memory::retire_at(ByteSize::b(0)))),
        ("memory", |pool| pool.memory(Memory::retire_at(ByteSize::mib(2)).kill_at(ByteSize::mib(1)))),
        ("retire", |pool| pool.retire(Retirement::new().after_tasks(0))),
        ("when_full", |pool| pool.when_full(ebbtide::WhenFull::CallerRuns)),
        ("grace", |pool| pool.grace(LONG).deadline(LONG / 2)),
    ];
    for (option, set) in bad {
        let error = set(Pool::processes(node().command)).build::<Value, Value>().unwrap_err();
        assert_eq!(error.option(), option, "{error}");
    }
    let missing = fresh("missing.js");
    let commands = [
        ("node", WorkerCommand::node(&missing)),
        ("node", WorkerCommand::node("/")),
        ("python", WorkerCommand::python("no_function")),
        ("python", WorkerCommand::python("/no/such/file.py:f")),
        ("program", WorkerCommand::program("")),
        ("concurrency", node().command.concurrency(0)),
        ("nice", node().command.nice(40)),
        ("data", node().command.data(&std::collections::BTreeMap::from([((1, 2), 3)]))),
        ("data", node().command.data(&"x".repeat(32 * rustix::param::page_size()))),
        ("env", node().command.env("A=B", "c")),
        ("env", node().command.pass_env("")),
    ];
    for (option, command) in commands {
        let error = Pool::processes(command).build::<Value, Value>().unwrap_err();
        assert_eq!(error.option(), option, "{error}");
    }
    let error = Pool::processes(WorkerCommand::node(&missing)).build::<Value, Value>().unwrap_err();
    assert!(error.to_string().contains(missing.to_str().unwrap()), "{error}");
}

fn w_13_a_worker_is_not_ready_before_its_start_is_over() {
    let slow = Duration::from_millis(300);
    let js =
        file("slow.js", "module.exports = new Promise((done) => setTimeout(() => done((x) => x + 1), 300));");
    let py = file(
        "slow.py",
        "import asyncio\nimport ebbtide_worker\n@ebbtide_worker.on_start\nasync def start():\n    await asyncio.sleep(0.3)\n\
         def f(x):\n    return x + 1\n",
    );
    let commands = [WorkerCommand::node(js), WorkerCommand::python(format!("{}:f", py.display()))];
    for command in commands {
        let pool = Pool::processes(command).workers(1..=1).build::<u64, u64>().unwrap();
        let begun = now();
        assert_eq!(value(pool.submit(1).unwrap()), 2);
        assert!(begun.elapsed() >= slow);
        assert!(pool.stats().workers.build >= slow);
        let _ = pool.shutdown(ebbtide::Shutdown::drain()).wait().unwrap();
    }
}

fn w_13_environment_arguments_and_data_arrive() {
    each(|kind| {
        let data = json!({"path": "/tmp", "n": [1, 2, 3]});
        let argument = if kind.name == "python" { "-Xdev" } else { "--stack-trace-limit=7" };
        let kind = kind.with(|command| {
            let command =
                command.env("EBBTIDE_TEST_ONE", "1 = one").data(&data).pass_env("EBBTIDE_TEST_NOT_SET");
            command.arg(argument).cwd("/")
        });
        let rig = Rig::new(&kind, 1..=1);
        assert_eq!(rig.call("env", "EBBTIDE_TEST_ONE"), "1 = one");
        assert_eq!(rig.call("env", "EBBTIDE_TEST_NOT_SET"), Value::Null);
        assert_eq!(rig.call("env", "CARGO_MANIFEST_DIR"), Value::Null, "only what is named is passed on");
        assert_eq!(rig.call("data", 0), data);
        let arguments = rig.call("argv", 0);
        assert!(arguments.as_array().unwrap().contains(&json!(argument)), "{arguments}");
        rig.close();
    });
}

fn w_13_named_functions_and_missing_ones() {
    each(|kind| {
        let rig = Rig::new(&kind, 1..=1);
        let call = |function: &str| {
            rig.note(rig.pool.task("named").function(function.to_owned()).submit(json!("you")).unwrap())
        };
        assert_eq!(value(call("hello")), "hello you");
        let error = ended(call("goodbye"), Outcome::Failed);
        assert!(error.to_string().contains("goodbye") && error.to_string().contains("hello"), "{error}");
        assert_eq!(value(call("hello")), "hello you");
        rig.close();
    });
}

fn w_13_a_start_that_fails_says_where() {
    let throws = file("throws.js", "const x = 1;\n\nthrow new RangeError('not today');\n");
    let syntax = file("syntax.js", "const x = 1;\nconst = 2;\n");
    let raises = file("raises.py", "x = 1\n\nraise ValueError('not today')\ndef f(x): pass\n");
    let indent = file("indent.py", "x = 1\n  y = 2\n");
    let lacks = file("lacks.py", "import no_such_module_at_all\ndef f(x): pass\n");
    let python = |path: std::path::PathBuf| WorkerCommand::python(format!("{}:f", path.display()));
    for (command, words) in [
        (WorkerCommand::node(throws), ["throws.js", "line 3", "not today"]),
        (WorkerCommand::node(syntax), ["syntax.js", "line 2", "SyntaxError"]),
        (python(raises), ["raises.py", "line 3", "not today"]),
        (python(indent), ["indent.py", "line 2", "unexpected indent"]),
        (python(lacks), ["lacks.py", "line 1", "no_such_module_at_all"]),
    ] {
        fails_to_start(command, &words);
    }
}

fn w_13_an_interpreter_that_is_missing_is_named() {
    for (kind, remedy) in [(node(), "Node.js"), (python(), "Python")] {
        let command = kind.command.interpreter("no-such-interpreter");
        fails_to_start(command, &["no-such-interpreter", "not found", remedy]);
    }
    fails_to_start(WorkerCommand::program("no-such-worker"), &["no-such-worker", "not found", "PATH"]);
}

fn fails_to_start(command: WorkerCommand, words: &[&str]) {
    let kind = Kind { name: "broken", command };
    let rig = Rig::with(&kind, |pool| pool.workers(1..=1).restart_intensity(0, LONG));
    let error = ended(rig.send("echo", 1), Outcome::Returned).to_string();
    for word in words {
        assert!(error.contains(word), "{word} is not in {error}");
    }
    rig.close();
}

fn w_15_files_written_for_others_run_unmodified() {
    for (name, text) in UNMODIFIED {
        let path = file(name, text);
        let command = if name.ends_with(".py") {
            WorkerCommand::python(format!("{}:f", path.display()))
        } else {
            WorkerCommand::node(path)
        };
        let pool = Pool::processes(command).workers(1..=1).build::<Value, i64>().unwrap();
        assert_eq!(value(pool.submit(json!({"a": 4, "b": 6})).unwrap()), 10, "{name}");
        let _ = pool.shutdown(ebbtide::Shutdown::drain()).wait().unwrap();
    }
    several_exports_and_a_counter();
}

fn several_exports_and_a_counter() {
    let named = file(
        "named.js",
        "function hello() { return 'hello'; }\nfunction world() { return 'world'; }\nhello.hello = hello;\nhello.world = world;\nmodule.exports = hello;\n",
    );
    let pool = Pool::processes(WorkerCommand::node(named)).workers(1..=1).build::<Value, String>().unwrap();
    for (function, expected) in [("hello", "hello"), ("world", "world")] {
        let task = pool.task(function).function(function).submit(json!({}));
        assert_eq!(value(task.unwrap()), expected);
    }
    assert_eq!(value(pool.submit(json!({})).unwrap()), "hello");
    let _ = pool.shutdown(ebbtide::Shutdown::drain()).wait().unwrap();
    each_script(|kind| {
        let rig = Rig::new(&kind, 1..=1);
        let counted: Vec<_> = (0..5).map(|_| rig.call("count", 1)).collect();
        assert_eq!(Value::from(counted), json!([1, 2, 3, 4, 5]));
        assert_eq!(value(rig.note(rig.pool.submit(ask("count", 10)).unwrap())), json!(15));
        rig.close();
    });
}
