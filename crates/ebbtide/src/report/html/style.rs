//! How it looks. Colours are those of Okabe and Ito, which people with any colour vision can tell apart; what is bad is hatched too.

/// For the picture, in a page or alone.
pub(super) const PICTURE: &str = "\
svg.ebb{--paper:#ffffff;--ink:#15202b;--muted:#5a6875;--grid:#e2e7ec;--row:#f6f8fa;--start:#56b4e9;--serve:#c5def0;--drain:#0072b2;\
--close:#009e73;--forced:#cc79a7;--bad:#d55e00;--delay:#fbf3c4;--task:#3f4d5a;background:var(--paper);\
font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;font-variant-numeric:tabular-nums}
@media (prefers-color-scheme:dark){svg.ebb{--paper:#11161c;--ink:#e9eef3;--muted:#97a5b3;--grid:#28323c;--row:#171e26;--start:#56b4e9;\
--serve:#274860;--drain:#3c9ee0;--close:#1cb98e;--forced:#dd93bd;--bad:#ff7b24;--delay:#332f16;--task:#b6c2cd}}
.ebb text{fill:var(--ink);font-size:13px}
.ebb .name{font-weight:600}
.ebb .small,.ebb .tick,.ebb .kind,.ebb .task-name{font-size:11px;fill:var(--muted)}
.ebb .title{font-size:11px;fill:var(--muted);letter-spacing:.06em;text-transform:uppercase}
.ebb .grid{stroke:var(--grid)}
.ebb .stripe{fill:var(--row)}
.ebb .c-start{fill:var(--start)}.ebb .c-serve{fill:var(--serve)}.ebb .c-drain{fill:var(--drain)}.ebb .c-close{fill:var(--close)}
.ebb .c-forced{fill:var(--forced)}.ebb .c-bad{fill:var(--bad)}.ebb .c-delay{fill:var(--delay)}.ebb .c-task{fill:var(--task)}
.ebb .hatch{fill:url(#hatch)}
.ebb .hatch-line{stroke:var(--paper);stroke-width:2.5}
.ebb .gap{fill:var(--paper)}
.ebb .on-path{stroke:var(--ink);stroke-width:3;paint-order:stroke;stroke-linejoin:round}
.ebb .path{fill:var(--ink)}
.ebb .on-bar{fill:#ffffff;font-size:11px;font-weight:600}
.ebb .on-ink{fill:var(--paper);font-size:11px;font-weight:600}
.ebb .edge{fill:none;stroke:var(--muted);stroke-width:1.25}
.ebb .edge.on{stroke:var(--ink);stroke-width:3}
.ebb .tip{fill:var(--muted)}.ebb .tip.on{fill:var(--ink)}
.ebb .mark{stroke:var(--bad);stroke-width:1.5}
.ebb .mark.limit{stroke:var(--muted);stroke-dasharray:4 4}
.ebb .flag{fill:var(--bad)}
.ebb .wrong{fill:var(--bad);font-weight:600}
";

/// For the page around it.
pub(super) const PAGE: &str = "\
:root{color-scheme:light dark;--paper:#ffffff;--ink:#15202b;--muted:#5a6875;--line:#dde3e9;--soft:#f6f8fa;--good:#00785a;--bad:#b84a00}
@media (prefers-color-scheme:dark){:root{--paper:#11161c;--ink:#e9eef3;--muted:#97a5b3;--line:#28323c;--soft:#171e26;--good:#1cb98e;--bad:#ff8a3d}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;\
font-variant-numeric:tabular-nums}
main{max-width:1180px;margin:0 auto;padding:32px 28px 64px}
.kicker{margin:0;color:var(--muted);font-size:12px;letter-spacing:.08em;text-transform:uppercase}
h1{margin:2px 0 10px;font-size:30px;line-height:1.2;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{margin:36px 0 10px;font-size:17px}
.facts{display:flex;flex-wrap:wrap;gap:6px 18px;margin:0;padding:0;list-style:none;color:var(--muted)}
.badge{padding:1px 10px;border-radius:99px;color:#fff;font-weight:600}
.badge.good{background:#00785a}.badge.bad{background:#b84a00}
.verdict{margin:18px 0;padding:12px 16px;border-left:5px solid var(--ink);background:var(--soft);font-size:18px;overflow-wrap:anywhere}
.alarm{border-color:var(--bad);color:var(--bad);font-weight:600}
figure{margin:18px 0 0;overflow-x:auto}
svg{display:block}
figure svg{width:100%;min-width:860px;height:auto}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13.5px}
th{color:var(--muted);font-weight:500;text-align:left;white-space:nowrap}
th,td{padding:6px 14px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;white-space:nowrap}
td.t{overflow-wrap:anywhere;min-width:90px}
.wrong{color:var(--bad);font-weight:600}
.muted{color:var(--muted)}
.steps{display:flex;flex-wrap:wrap;gap:8px;margin:0;padding:0;list-style:none}
.steps li{padding:8px 14px;border:1px solid var(--line);border-radius:8px;background:var(--soft)}
.steps b{display:block}
.bar{display:flex;height:14px;min-width:220px;border-radius:3px;overflow:hidden;background:var(--line)}
.bar i{display:block;min-width:3px}
.o-completed{background:#009e73}.o-failed{background:#d55e00}.o-panicked{background:#a34700}.o-cancelled{background:#e69f00}\
.o-timed_out{background:#f0e442}.o-killed{background:#cc79a7}.o-crashed{background:#8c3f6b}.o-abandoned{background:var(--ink)}.o-returned{background:#56b4e9}
.dot{display:inline-block;width:10px;height:10px;margin-right:5px;border-radius:2px}
.counts{display:flex;flex-wrap:wrap;gap:2px 14px}
details{margin:10px 0}
summary{cursor:pointer;font-weight:600;overflow-wrap:anywhere}
pre{overflow-x:auto;padding:14px;background:var(--soft);font:12.5px/1.45 ui-monospace,'DejaVu Sans Mono',monospace}
@media print{main{padding:0}details{break-inside:avoid}}
";
