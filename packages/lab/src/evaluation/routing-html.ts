import { escapeHtml } from '../data/stats/escape-html.ts';
import { statsStyle } from '../data/stats/stats-style.ts';
import type { RouterLoad, RoutingReport } from './routing.ts';

const taskNames = { t2i: 'text to image', mmu: 'understanding' } as const;
const levelNames = { token: 'token-level experts', sequence: 'sequence-level experts' } as const;

const style = `${statsStyle}
.heat td.load { text-align: center; min-width: 64px; }
.heat .idle { outline: 2px solid #b4530f; outline-offset: -2px; }
.heat tr > th:first-child { text-align: left; }
`;

/** A page of its own, without scripts: one heatmap per task and level, layers down, experts across. */
export function routingHtml(report: RoutingReport, model: { name: string; hash: string }): string {
  const tables = (['t2i', 'mmu'] as const).flatMap((task) =>
    (['token', 'sequence'] as const).flatMap((level) => {
      const routers = report.routers.filter((router) => router.task === task && router.level === level);
      return routers.length > 0 ? [heatmap(routers)] : [];
    }),
  );
  const idle = report.routers.filter((router) => router.idle.length > 0).length;
  const verdict =
    idle === 0
      ? 'Every expert of every layer has at least a tenth of an equal share.'
      : `${idle} of ${report.routers.length} routers leave an expert with less than a tenth of an equal share (outlined).`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Routing of ${escapeHtml(model.name)}</title><style>${style}</style></head><body><main>
<header><h1>Routing of ${escapeHtml(model.name)}</h1>
<p>${report.faces.toLocaleString('en-US')} test faces; ${report.tokens.t2i.toLocaleString('en-US')} tokens of generation, ${report.tokens.mmu.toLocaleString('en-US')} of understanding. Weights ${escapeHtml(model.hash.slice(0, 12))}. ${verdict}</p></header>
${tables.join('\n')}
</main></body></html>
`;
}

function heatmap(routers: readonly RouterLoad[]): string {
  const { task, level, experts } = routers[0]!;
  const title = `${taskNames[task]}: ${levelNames[level]}`;
  const head = experts.map((name) => `<th scope="col">${escapeHtml(name)}</th>`).join('');
  const rows = routers.map((router) => {
    const cells = router.load.map((share, e) =>
      cell(share, 1 / experts.length, router.idle.includes(router.experts[e]!)),
    );
    const figures = [router.loadEntropy, router.scoreEntropy, router.balance].map(
      (value) => `<td>${value.toFixed(2)}</td>`,
    );
    return `<tr><th scope="row">${router.layer}</th>${cells.join('')}${figures.join('')}</tr>`;
  });
  return `<section><h2>${escapeHtml(title)}</h2><div class="scroll"><table class="heat">
<caption>Share of the assignments, in %, by layer and expert; an equal share is ${(100 / experts.length).toFixed(1)}. Entropies are relative: 1 is even.</caption>
<thead><tr><th scope="col" class="left">layer</th>${head}<th scope="col">load entropy</th><th scope="col">score entropy</th><th scope="col">balance</th></tr></thead>
<tbody>${rows.join('\n')}</tbody></table></div></section>`;
}

/** Blue above an equal share, orange below; the number is always there. */
function cell(share: number, equal: number, idle: boolean): string {
  const strength = share >= equal ? (share - equal) / (1 - equal) : (equal - share) / equal;
  const colour = share >= equal ? '47, 111, 222' : '180, 83, 15';
  const shade = `background: rgba(${colour}, ${(0.6 * strength).toFixed(3)})`;
  return `<td class="load${idle ? ' idle' : ''}" style="${shade}">${(100 * share).toFixed(1)}</td>`;
}
