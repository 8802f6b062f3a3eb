import type { Attributes, AttributeValue, HrTime } from '@opentelemetry/api';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';

/**
 * An OTLP export request in JSON, of spans that share a resource and a scope, as all of one process do here. Written
 * without the tree of objects that the SDK's serialiser makes of them: that costs as much as everything else about a span.
 *
 * @see https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
 */
export function otlpJson(spans: readonly ReadableSpan[]): string {
  const [first] = spans;
  if (first === undefined) return '{"resourceSpans":[]}';
  const { resource, instrumentationScope } = first;
  let json = `{"resourceSpans":[{"resource":{"attributes":${keyValues(resource.attributes as Attributes)}},"scopeSpans":[{"scope":{"name":${JSON.stringify(instrumentationScope.name)}},"spans":[`;
  spans.forEach((span, i) => (json += i === 0 ? spanJson(span) : `,${spanJson(span)}`));
  return `${json}]}]}]}`;
}

function spanJson(span: ReadableSpan): string {
  const { traceId, spanId, traceFlags } = span.spanContext();
  const { parentSpanContext: parent, kind, events, links, status } = span;
  const base = `{"traceId":"${traceId}","spanId":"${spanId}"${parent ? `,"parentSpanId":"${parent.spanId}"` : ''},"name":${JSON.stringify(span.name)},"kind":${kind + 1},"flags":${traceFlags},"startTimeUnixNano":"${nanoseconds(span.startTime)}","endTimeUnixNano":"${nanoseconds(span.endTime)}","attributes":${keyValues(span.attributes)}`;
  const happened = events.map(
    ({ name, time, attributes = {} }) =>
      `{"timeUnixNano":"${nanoseconds(time)}","name":${JSON.stringify(name)},"attributes":${keyValues(attributes)}}`,
  );
  const linked = links.map(({ context }) => `{"traceId":"${context.traceId}","spanId":"${context.spanId}"}`);
  const message = status.message === undefined ? '' : `,"message":${JSON.stringify(status.message)}`;
  return `${base},"events":[${happened.join()}],"links":[${linked.join()}],"status":{"code":${status.code}${message}}}`;
}

function keyValues(attributes: Attributes): string {
  let json = '';
  for (const key in attributes) {
    const value = attributes[key];
    if (value === undefined || value === null) continue;
    json += `${json === '' ? '' : ','}{"key":${JSON.stringify(key)},"value":${anyValue(value)}}`;
  }
  return `[${json}]`;
}

function anyValue(value: AttributeValue): string {
  if (typeof value === 'string') return `{"stringValue":${JSON.stringify(value)}}`;
  if (typeof value === 'number')
    return Number.isInteger(value) ? `{"intValue":"${value}"}` : `{"doubleValue":${doubleJson(value)}}`;
  if (typeof value === 'boolean') return `{"boolValue":${value}}`;
  const values = value.map((one) => (one === null || one === undefined ? '{}' : anyValue(one)));
  return `{"arrayValue":{"values":[${values.join()}]}}`;
}

/** JSON has no word for those that are not finite; ProtoJSON has. */
function doubleJson(value: number): string {
  return Number.isFinite(value) ? String(value) : `"${String(value)}"`;
}

function nanoseconds([seconds, nanos]: HrTime): string {
  return `${seconds}${String(nanos).padStart(9, '0')}`;
}
