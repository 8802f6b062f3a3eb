import {
  SpanStatusCode,
  type Attributes,
  type AttributeValue,
  type Exception,
  type HrTime,
  type Link,
  type Span,
  type SpanContext,
  type SpanKind,
  type SpanStatus,
  type TimeInput,
} from '@opentelemetry/api';
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import type { ReadableSpan, TimedEvent } from '@opentelemetry/sdk-trace-base';

/** Bounds of a span, as `OTEL_*_LIMIT` have it. */
export interface SpanLimits {
  attributes: number;
  /** Characters of a string. */
  valueLength: number;
  events: number;
  links: number;
  /** Attributes of one event, of one link. */
  eventAttributes: number;
  linkAttributes: number;
}

export interface Birth {
  name: string;
  kind: SpanKind;
  context: SpanContext;
  parent: SpanContext | undefined;
  attributes: Attributes | undefined;
  links: Link[] | undefined;
  startTime: TimeInput | undefined;
}

/** Things that all spans of a tracer share. */
export interface SpanHome {
  resource: Resource;
  scope: InstrumentationScope;
  limits: SpanLimits;
  ended: (span: TracedSpan) => void;
}

interface NotedEvent {
  name: string;
  atMs: number;
  attributes: Attributes | undefined;
  droppedAttributesCount?: number;
}

const NONE: never[] = [];
const UNSET: SpanStatus = { code: SpanStatusCode.UNSET };

/** A span that costs little until it is read: times are numbers, and nothing is copied that need not be. */
export class TracedSpan implements Span, ReadableSpan {
  name: string;
  readonly kind: SpanKind;
  readonly parentSpanContext?: SpanContext;
  readonly attributes: Attributes = {};
  links: Link[] = NONE;
  readonly startMs: number;
  endMs = 0;
  noted: NotedEvent[] = NONE;
  status: SpanStatus = UNSET;
  ended = false;
  droppedAttributesCount = 0;
  droppedEventsCount = 0;
  droppedLinksCount = 0;
  private attributesCount = 0;
  private readonly self: SpanContext;
  /** Monotonic start, where none was given: the clock of the system may be set while a span is open. */
  private readonly startedAt: number | undefined;

  constructor(
    private readonly home: SpanHome,
    { name, kind, context, parent, attributes, links, startTime }: Birth,
  ) {
    this.name = name;
    this.kind = kind;
    this.self = context;
    if (parent !== undefined) this.parentSpanContext = parent;
    if (startTime === undefined) this.startedAt = performance.now();
    this.startMs = startTime === undefined ? Date.now() : msOf(startTime);
    if (attributes !== undefined) this.setAttributes(attributes);
    if (links !== undefined) this.addLinks(links);
  }

  spanContext(): SpanContext {
    return this.self;
  }

  isRecording(): boolean {
    return !this.ended;
  }

  setAttribute(key: string, value: AttributeValue | undefined): this {
    if (this.ended || value === undefined || value === null || key === '') return this;
    if (!(key in this.attributes)) {
      if (this.attributesCount >= this.home.limits.attributes) {
        this.droppedAttributesCount += 1;
        return this;
      }
      this.attributesCount += 1;
    }
    this.attributes[key] = this.limited(value);
    return this;
  }

  setAttributes(attributes: Attributes): this {
    for (const key in attributes) this.setAttribute(key, attributes[key]);
    return this;
  }

  addEvent(name: string, attributes?: Attributes | TimeInput, time?: TimeInput): this {
    if (this.ended) return this;
    const what = isTime(attributes) ? undefined : attributes;
    const at = time ?? (isTime(attributes) ? attributes : undefined);
    if (this.noted === NONE) this.noted = [];
    const { events, eventAttributes } = this.home.limits;
    const atMs = at === undefined ? this.now() : msOf(at);
    this.noted.push(this.cut({ name, atMs, attributes: what }, eventAttributes));
    if (this.noted.length > events) {
      this.noted.shift();
      this.droppedEventsCount += 1;
    }
    return this;
  }

  addLink(link: Link): this {
    if (this.ended) return this;
    if (this.links === NONE) this.links = [];
    const { links, linkAttributes } = this.home.limits;
    this.links.push(this.cut(link, linkAttributes));
    if (this.links.length > links) {
      this.links.shift();
      this.droppedLinksCount += 1;
    }
    return this;
  }

  addLinks(links: Link[]): this {
    for (const link of links) this.addLink(link);
    return this;
  }

  setStatus(status: SpanStatus): this {
    const isFinal = this.status.code === SpanStatusCode.OK || status.code === SpanStatusCode.UNSET;
    if (!this.ended && !isFinal) this.status = status;
    return this;
  }

  updateName(name: string): this {
    if (!this.ended) this.name = name;
    return this;
  }

  recordException(exception: Exception, time?: TimeInput): void {
    const { name, message, stack } =
      typeof exception === 'string' ? { name: 'Error', message: exception, stack: undefined } : exception;
    const attributes = {
      'exception.type': name ?? 'Error',
      'exception.message': message ?? '',
      ...(stack !== undefined && { 'exception.stacktrace': stack }),
    };
    this.addEvent('exception', attributes, time);
  }

  /** An end before the start, another machine's clock say, is the start. */
  end(time?: TimeInput): void {
    if (this.ended) return;
    this.endMs = Math.max(this.startMs, time === undefined ? this.now() : msOf(time));
    this.ended = true;
    this.home.ended(this);
  }

  get resource(): Resource {
    return this.home.resource;
  }

  get instrumentationScope(): InstrumentationScope {
    return this.home.scope;
  }

  get startTime(): HrTime {
    return hrTime(this.startMs);
  }

  get endTime(): HrTime {
    return hrTime(this.endMs);
  }

  get duration(): HrTime {
    return hrTime(this.endMs - this.startMs);
  }

  get events(): TimedEvent[] {
    return this.noted.map(({ name, atMs, attributes = {}, droppedAttributesCount = 0 }) => ({
      name,
      time: hrTime(atMs),
      attributes,
      droppedAttributesCount,
    }));
  }

  /** An event or a link with no more than `most` attributes; itself where there is nothing to cut. */
  private cut<T extends { attributes?: Attributes | undefined }>(one: T, most: number): T {
    const count = one.attributes === undefined ? 0 : Object.keys(one.attributes).length;
    if (count === 0 || (count <= most && this.home.limits.valueLength === Infinity)) return one;
    const kept = Object.entries(one.attributes!).filter(([, value]) => value !== undefined);
    const attributes: Attributes = {};
    for (const [key, value] of kept.slice(0, most)) attributes[key] = this.limited(value!);
    return { ...one, attributes, droppedAttributesCount: Math.max(0, kept.length - most) };
  }

  private limited(value: AttributeValue): AttributeValue {
    const { valueLength } = this.home.limits;
    if (valueLength === Infinity) return value;
    if (typeof value === 'string') return value.slice(0, valueLength);
    if (!Array.isArray(value)) return value;
    return value.map((one) => (typeof one === 'string' ? one.slice(0, valueLength) : one)) as AttributeValue;
  }

  private now(): number {
    if (this.startedAt === undefined) return Date.now();
    return this.startMs + performance.now() - this.startedAt;
  }
}

function isTime(value: Attributes | TimeInput | undefined): value is TimeInput {
  return typeof value === 'number' || value instanceof Date || Array.isArray(value);
}

/** Milliseconds since the epoch. */
function msOf(time: TimeInput): number {
  if (Array.isArray(time)) return time[0] * 1000 + time[1] / 1e6;
  if (typeof time !== 'number') return time.getTime();
  // Small numbers are of `performance.now()`.
  return time <= performance.now() ? performance.timeOrigin + time : time;
}

function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.round((ms - seconds * 1000) * 1e6)];
}
