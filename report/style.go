package report

// style is the page's only style sheet: light, dark and paper.
const style = `
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#5b6570;--line:#d8dde3;--plot:#fafbfc;--warn:#a33b00;--region:#5b6570;
--s0:#0072b2;--s1:#d55e00;--s2:#009e73;--s3:#cc79a7;--s4:#b8860b;--s5:#56b4e9;--s6:#7f52a8;--s7:#5b6570}
@media screen and (prefers-color-scheme:dark){:root{--bg:#14181d;--fg:#e6e9ed;--soft:#9aa5b1;--line:#333c46;--plot:#191e24;--warn:#ffb37a;--region:#9aa5b1;
--s0:#5aa9e6;--s1:#f28e4b;--s2:#35c498;--s3:#e3a3c7;--s4:#e0b84a;--s5:#8fd0f5;--s6:#b592dc;--s7:#9aa5b1}}
*{box-sizing:border-box}body{background:var(--bg);color:var(--fg);font:16px/1.55 system-ui,sans-serif;margin:0 auto;max-width:62rem;padding:1.5rem 1rem 4rem;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.25;margin:.2em 0}h2{font-size:1.15rem;margin:2.2em 0 .4em}h3{font-size:1rem;margin:1em 0 .2em}p.lead{color:var(--soft);margin:.2em 0 1.5em}
p{max-width:46rem}.scroll{overflow-x:auto}:focus-visible{outline:2px solid var(--s0);outline-offset:1px}
table{border-collapse:collapse;font-size:.92rem;margin:.6em 0}caption{text-align:left;color:var(--soft);padding-bottom:.3em}
th,td{padding:.28em .8em .28em 0;text-align:left;border-bottom:1px solid var(--line);white-space:nowrap}th{vertical-align:bottom}th.n,td.n{font-variant-numeric:tabular-nums;text-align:right}
@media screen and (min-width:50rem){.paged td:first-child,.paged th:first-child{position:sticky;left:0;background:var(--bg)}}td.w{white-space:normal;min-width:14rem}th button{all:unset;cursor:pointer;font:inherit}th button:focus-visible{outline:2px solid var(--s0)}th[aria-sort=descending] button::after{content:" ↓"}th[aria-sort=ascending] button::after{content:" ↑"}
pre{background:var(--plot);border:1px solid var(--line);border-radius:4px;overflow-x:auto;padding:.7em;font-size:.85rem}.paged pre{max-height:24rem;overflow:auto}
figure{margin:1.2em 0}figure .title{font-weight:600;font-size:.92rem;margin-bottom:.3em}figcaption{color:var(--soft);font-size:.92rem;margin-top:.3em}figcaption div{max-width:46rem}.key{display:inline-block;margin-right:.9em}
figure svg{display:block;max-width:100%;height:auto;background:var(--plot);border:1px solid var(--line);border-radius:4px}
svg text{fill:var(--soft);font:12px system-ui,sans-serif}svg text.dark{fill:#14181d}svg text.bright{fill:#fff}svg .halo{fill:var(--fg);stroke:var(--plot);stroke-width:3px;stroke-linejoin:round;paint-order:stroke}
svg .grid{stroke:var(--line);stroke-width:1}svg .ref{stroke:var(--fg);stroke-width:1.3;stroke-dasharray:4 4}svg .tick{stroke:var(--soft)}svg .box,svg .swatch{stroke:var(--line);stroke-width:1}svg .box{fill:none}
svg .region{fill:var(--region)}svg .r0{fill-opacity:.08}svg .r1{fill-opacity:.17}svg .hatch{stroke:var(--soft);stroke-width:2;stroke-opacity:.55}svg .whisker{stroke:var(--fg);stroke-width:1.3}svg .border{stroke:#fff;stroke-opacity:.7}
svg .under{fill:none;stroke:#000;stroke-width:4.5;stroke-opacity:.75}svg .cells rect{shape-rendering:crispEdges}svg image{image-rendering:pixelated}
svg.spark{display:inline-block;vertical-align:middle;margin-right:.5em}svg.spark path{fill:none;stroke:var(--s0);stroke-width:1.4}svg.spark circle{fill:var(--s0)}
.columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,25rem),1fr));gap:0 1.5rem}.columns>div{min-width:0}
.verdict,.note{border:1px solid var(--line);border-left:5px solid var(--s0);border-radius:4px;background:var(--plot);padding:.5em 1em;margin:1em 0}.warning{border-left-color:var(--warn)}.warning .label{color:var(--warn)}
.verdict,.note{max-width:46rem}.verdict .columns{grid-template-columns:repeat(auto-fit,minmax(min(100%,16rem),1fr))}.label{font-weight:600;margin:.2em 0}.verdict .label{font-size:1.1rem}.verdict h3{font-size:.92rem;color:var(--soft);margin:.5em 0 .1em}.verdict ul,.note ul{margin:.2em 0 .5em;padding-left:1.2em}.note p{margin:.3em 0}
summary{cursor:pointer;padding:.25em 0}details.section{border-top:1px solid var(--line);margin:.6em 0}details.section>summary{font-weight:600}
.control{display:flex;flex-wrap:wrap;gap:.5em 1em;align-items:center;margin:.6em 0}.control[hidden]{display:none}.control label{display:flex;gap:.5em;align-items:center;flex:0 1 26rem}.control input{flex:1;min-width:8rem;font:inherit}.control button{font:inherit;min-width:2.6em;min-height:2.2em}
.away{display:none}
@media screen{.moved>.frame>h3{display:none}}
@media print{:root{color-scheme:light}body{max-width:none;padding:0}.away{display:block}.control{display:none}.scroll{overflow:visible}figure svg{min-width:0!important}figure,tr,.verdict,.note{break-inside:avoid}h2,h3{break-after:avoid}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}th,td{white-space:normal}}
`
