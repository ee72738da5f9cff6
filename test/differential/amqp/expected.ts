/**
 * Where AnyMQ says something else than the RabbitMQ that it is compared with (Debian's 3.10), and why that is meant: each rule brings both
 * sides to what is comparable. They are named in src/protocols/amqp/README.md.
 */

/** Headers that RabbitMQ 4 added, or writes otherwise than 3.10. */
const newer = ['x-last-death-reason', 'x-last-death-queue', 'x-last-death-exchange', 'x-delivery-count', 'x-acquired-count']

export function comparableHeaders(headers: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !newer.includes(name)))
}

export function comparableText(text: string): string {
  // Words that RabbitMQ mended since.
  return text.replace(/ for 'queue ('.*')'$/, ' for stream queue $1').replace('by stream queues queue', 'by stream queue')
}

/** 3.10 counts a stream's messages some time after they came. */
export function comparableFields(name: string, fields: Record<string, unknown>): Record<string, unknown> {
  const { messageCount: _, ...others } = fields
  return name === 'queue.declare-ok' && /^s\d+\.q/.test(String(fields['queue'])) ? others : fields
}
