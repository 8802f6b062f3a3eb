import { renderReport, type ReportContent } from './report';

const content: ReportContent = {
  summary: {
    runId: 'arithmetic-grpo-1',
    recipe: 'arithmetic-grpo',
    seed: 1,
    maxStaleness: 4,
    state: 'finished',
    steps: 2,
    seconds: 12.4,
    startAccuracy: 0.42,
    finalAccuracy: 0.915,
    model: 'model',
    weightsHash: 'ab'.repeat(32),
    ledger: { admitted: 8 },
  },
  rows: [
    { step: 1, 'reward/mean': 0.5, 'lag/mean': 0, 'lag/max': 0 },
    { step: 2, 'reward/mean': 0.75, 'lag/mean': 1.5, 'lag/max': 2 },
  ],
  evaluations: [{ version: 0, accuracy: 0.42, unjudged: 0 }],
  samples: [
    { index: 3, version: 0, prompt: '<b>1+1=', texts: ['2', '3'], rewards: [1, 0] },
    {
      index: 4,
      version: 1,
      prompt: '1+2=',
      texts: ['3'],
      rewards: [1.5],
      rewardsByFunction: [{ exact: 1, short: 0.5 }],
    },
  ],
  recipe: { name: 'arithmetic-grpo' },
};

describe('renderReport', () => {
  const html = renderReport(content);

  it('shows the numbers of the run', () => {
    expect(html).toContain('42.0 % → 91.5 %');
    expect(html).toContain('12 s');
    expect(html).toContain('abababababababab<');
  });

  it('draws a chart per metric that has values, with a legend where lines share one', () => {
    expect(html).toContain('Reward <b>0.75</b>');
    expect(html).toContain('<span class="key s1">lag/max</span>');
    expect(html).not.toContain('Gradient norm');
  });

  it('shows rewards by function where there are several', () => {
    expect(html).toContain('2 <small>(1)</small>');
    expect(html).toContain('3 <small>(1.5: exact 1, short 0.5)</small>');
  });

  it('escapes what models and people wrote', () => {
    expect(html).toContain('&lt;b&gt;1+1=');
    expect(html).not.toContain('<b>1+1=');
  });

  it('loads nothing from elsewhere', () => {
    expect(html).not.toMatch(/(src|href)=|@import|url\((?!#)/);
  });
});
