import { SpanStatusCode, type Attributes, type AttributeValue } from '@opentelemetry/api';
import type { TracedSpan } from './traced-span';

/**
 * An OTLP export request in JSON, of spans that share a resource, as all of one process do. Written without the tree of
 * objects that the SDK's serialiser makes of them, which costs several times as much as everything else about a span.
 * Times are exact to the microsecond.
 *
 * @see https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
 */
export function otlpJson(spans: readonly TracedSpan[]): string {
  const [first] = spans;
  if (first === undefined) return '{"resourceSpans":[]}';
  let json = `{"resourceSpans":[{"resource":{"attributes":[${keyValues(first.resource.attributes as Attributes)}]},"scopeSpans":[`;
  let scope: TracedSpan['instrumentationScope'] | undefined;
  for (const span of spans) {
    // Spans of the actors come in between.
    if (span.instrumentationScope === scope) json += ',';
    else {
      if (scope !== undefined) json += ']},';
      scope = span.instrumentationScope;
      const version = scope.version === undefined ? '' : `,"version":${JSON.stringify(scope.version)}`;
      json += `{"scope":{"name":${JSON.stringify(scope.name)}${version}},"spans":[`;
    }
    json += spanJson(span);
  }
  return `${json}]}]}]}`;
}

function spanJson(span: TracedSpan): string {
  const { traceId, spanId, traceFlags } = span.spanContext();
  const { parentSpanContext: parent, kind, noted, links, status } = span;
  let json = `{"traceId":"${traceId}","spanId":"${spanId}","name":${quoted(span.name)},"kind":${kind + 1},"flags":${traceFlags},"startTimeUnixNano":"${nanoseconds(span.startMs)}","endTimeUnixNano":"${nanoseconds(span.endMs)}","attributes":[${keyValues(span.attributes)}]`;
  if (parent !== undefined) json += `,"parentSpanId":"${parent.spanId}"`;
  if (noted.length > 0) {
    const events = noted.map(
      ({ name, atMs, attributes, droppedAttributesCount }) =>
        `{"timeUnixNano":"${nanoseconds(atMs)}","name":${quoted(name)},"attributes":[${keyValues(attributes)}]${dropped('Attributes', droppedAttributesCount)}}`,
    );
    json += `,"events":[${events.join()}]`;
  }
  if (links.length > 0) {
    const linked = links.map(
      ({ context, attributes, droppedAttributesCount }) =>
        `{"traceId":"${context.traceId}","spanId":"${context.spanId}","attributes":[${keyValues(attributes)}]${dropped('Attributes', droppedAttributesCount)}}`,
    );
    json += `,"links":[${linked.join()}]`;
  }
  if (status.code !== SpanStatusCode.UNSET) {
    const message = status.message === undefined ? '' : `,"message":${JSON.stringify(status.message)}`;
    json += `,"status":{"code":${status.code}${message}}`;
  }
  json += dropped('Attributes', span.droppedAttributesCount);
  json += dropped('Events', span.droppedEventsCount);
  json += dropped('Links', span.droppedLinksCount);
  return `${json}}`;
}

function dropped(what: 'Attributes' | 'Events' | 'Links', count = 0): string {
  return count === 0 ? '' : `,"dropped${what}Count":${count}`;
}

function keyValues(attributes: Attributes | undefined): string {
  let json = '';
  for (const key in attributes) {
    const value = attributes[key];
    if (value === undefined || value === null) continue;
    json += `${json === '' ? '' : ','}{"key":${quoted(key)},"value":${anyValue(value)}}`;
  }
  return json;
}

function anyValue(value: AttributeValue): string {
  if (typeof value === 'string') return `{"stringValue":${JSON.stringify(value)}}`;
  if (typeof value === 'number')
    return Number.isInteger(value) ? `{"intValue":"${value}"}` : `{"doubleValue":${doubleJson(value)}}`;
  if (typeof value === 'boolean') return `{"boolValue":${value}}`;
  const values = value.map((one) => (one === null || one === undefined ? '{}' : anyValue(one)));
  return `{"arrayValue":{"values":[${values.join()}]}}`;
}

/** JSON has no word for numbers that are not finite; ProtoJSON has. */
function doubleJson(value: number): string {
  return Number.isFinite(value) ? String(value) : `"${String(value)}"`;
}

function nanoseconds(ms: number): string {
  return Number.isInteger(ms) ? `${ms}000000` : `${Math.round(ms * 1000)}000`;
}

const MANY_NAMES = 1000;
const names = new Map<string, string>();

/** Names are few, and the same again and again. */
function quoted(name: string): string {
  let json = names.get(name);
  if (json === undefined) {
    json = JSON.stringify(name);
    if (names.size < MANY_NAMES) names.set(name, json);
  }
  return json;
}
