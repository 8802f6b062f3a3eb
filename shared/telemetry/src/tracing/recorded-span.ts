import { z } from 'zod';

const anyValue = z.looseObject({
  stringValue: z.string().optional(),
  boolValue: z.boolean().optional(),
  intValue: z.union([z.number(), z.string()]).optional(),
  doubleValue: z.number().optional(),
});
type AnyValue = z.infer<typeof anyValue> & { arrayValue?: { values?: AnyValue[] } };

const keyValues = z.array(z.object({ key: z.string(), value: anyValue })).default([]);
const nanoseconds = z.union([z.string(), z.number()]);

const requestSchema = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: keyValues }).optional(),
      scopeSpans: z.array(
        z.object({
          spans: z.array(
            z.object({
              traceId: z.string(),
              spanId: z.string(),
              parentSpanId: z.string().optional(),
              name: z.string(),
              kind: z.int().default(1),
              startTimeUnixNano: nanoseconds,
              endTimeUnixNano: nanoseconds,
              attributes: keyValues,
              events: z
                .array(z.object({ name: z.string(), timeUnixNano: nanoseconds, attributes: keyValues }))
                .default([]),
              links: z
                .array(z.object({ traceId: z.string(), spanId: z.string(), attributes: keyValues }))
                .default([]),
              status: z.object({ code: z.int().optional(), message: z.string().optional() }).default({}),
            }),
          ),
        }),
      ),
    }),
  ),
});

export type SpanAttributes = Readonly<Record<string, string | number | boolean | unknown[]>>;

/** A finished span as people read it; times in milliseconds since the epoch. */
export interface RecordedSpan {
  traceId: string;
  spanId: string;
  /** Null: the root of its trace. */
  parentId: string | null;
  name: string;
  /** Kind as in OTLP: 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  kind: number;
  /** `forge-<service>` without its prefix, and the replica. */
  service: string;
  replica: string;
  startMs: number;
  endMs: number;
  attributes: SpanAttributes;
  events: { name: string; atMs: number; attributes: SpanAttributes }[];
  links: { traceId: string; spanId: string; attributes: SpanAttributes }[];
  /** Null unless it failed. */
  error: string | null;
}

/** The spans of an OTLP export request in JSON; an invalid one has none. */
export function spansOfRequest(json: string): RecordedSpan[] {
  let request: unknown;
  try {
    request = JSON.parse(json);
  } catch {
    // The last line of a file whose writer was killed.
    return [];
  }
  const parsed = requestSchema.safeParse(request);
  if (!parsed.success) return [];
  return parsed.data.resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const of = attributesOf(resource?.attributes ?? []);
    const service = String(of['service.name'] ?? '').replace(/^forge-/, '');
    const replica = String(of['service.instance.id'] ?? '');
    return scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        traceId: span.traceId,
        spanId: span.spanId,
        parentId: span.parentSpanId || null,
        name: span.name,
        kind: span.kind,
        service,
        replica,
        startMs: millisecondsOf(span.startTimeUnixNano),
        endMs: millisecondsOf(span.endTimeUnixNano),
        attributes: attributesOf(span.attributes),
        events: span.events.map(({ name, timeUnixNano, attributes }) => ({
          name,
          atMs: millisecondsOf(timeUnixNano),
          attributes: attributesOf(attributes),
        })),
        links: span.links.map((link) => ({ ...link, attributes: attributesOf(link.attributes) })),
        error: span.status.code === 2 ? (span.status.message ?? 'failed') : null,
      })),
    );
  });
}

/** The spans of one trace among lines of the OTLP file format, each once, by their start. */
export function spansOfTrace(lines: Iterable<string>, traceId: string): RecordedSpan[] {
  const spans = new Map<string, RecordedSpan>();
  for (const line of lines) {
    if (!line.includes(traceId)) continue;
    for (const span of spansOfRequest(line)) if (span.traceId === traceId) spans.set(span.spanId, span);
  }
  return [...spans.values()].sort((a, b) => a.startMs - b.startMs || a.endMs - b.endMs);
}

function attributesOf(pairs: readonly { key: string; value: AnyValue }[]): SpanAttributes {
  return Object.fromEntries(pairs.map(({ key, value }) => [key, valueOf(value)]));
}

function valueOf(value: AnyValue): string | number | boolean | unknown[] {
  const { stringValue, boolValue, intValue, doubleValue, arrayValue } = value;
  if (intValue !== undefined) return Number(intValue);
  return stringValue ?? boolValue ?? doubleValue ?? arrayValue?.values?.map(valueOf) ?? '';
}

/** Nanoseconds since the epoch are more than a number holds exactly. */
function millisecondsOf(nanoseconds: string | number): number {
  const text = String(nanoseconds).padStart(7, '0');
  return Number(`${text.slice(0, -6)}.${text.slice(-6)}`);
}
