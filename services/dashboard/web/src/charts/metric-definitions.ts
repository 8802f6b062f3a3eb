export interface MetricDefinition {
  name: string;
  unit: string;
  formula: string;
}

/** The definition of a key of a row: one of its own name first, else one whose `<part>`s stand for parts of the key. */
export function definitionOf(key: string, definitions: readonly MetricDefinition[]): MetricDefinition | null {
  return (
    definitions.find(({ name }) => name === key) ??
    definitions.find(({ name }) => name.includes('<') && patternOf(name).test(key)) ??
    null
  );
}

function patternOf(name: string): RegExp {
  const parts = name.split(/<[^>]+>/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('(.+)')}$`);
}
