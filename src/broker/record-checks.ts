/** Whether records are what their topic asks for (`TopicConfig.keySchema`, `valueSchema`): each record of an entry is shown to who knows schemas. */
import { CoreError } from '../core/errors.ts'
import { formats } from '../core/record.ts'
import type { Topic } from '../core/topic.ts'
import type { PublishItem, RecordCheck } from './face.ts'

export class RecordChecks {
  #check: RecordCheck | null = null

  use(check: RecordCheck): void {
    this.#check = check
  }

  /** Why the topic refuses what the item holds, which is noted in the item too; null when it does not. Opens entries of topics that ask, alone. */
  refusal(topic: Topic, item: PublishItem): CoreError | null {
    const { keySchema, valueSchema } = topic.config
    if (keySchema === 'none' && valueSchema === 'none') return null
    for (const { index, envelope, format } of recordsOf(item)) {
      const { key, value } = formats.get(format).toAttributes(envelope)
      const reason = this.#reason(topic, 'key', keySchema, key) ?? this.#reason(topic, 'value', valueSchema, value)
      if (reason === null) continue
      item.refusedRecord = index
      return new CoreError('Invalid', `topic "${topic.name}": ${reason}`)
    }
    return null
  }

  /** What is not there has no schema. */
  #reason(topic: Topic, part: 'key' | 'value', wanted: 'none' | 'registered' | 'content', bytes: Buffer | null): string | null {
    if (wanted === 'none' || bytes === null) return null
    if (this.#check === null) return `nobody here knows the schema of the record's ${part}`
    const { keySubject, valueSubject } = topic.config
    const reason = this.#check(topic.name, part, part === 'key' ? keySubject : valueSubject, wanted === 'content', bytes)
    return reason === null ? null : `the record's ${part} ${reason}`
  }
}

/** Each single record of an item, those for later included, by its place. */
function* recordsOf(item: PublishItem): Generator<{ index: number; envelope: Buffer; format: number }> {
  const format = formats.get(item.format)
  const single = format.recordFormat ?? item.format
  const open = (payload: Buffer): readonly (Buffer | null)[] =>
    format.batched ? (format.open?.(payload, item.timestamp) ?? []) : [payload]
  for (const [index, envelope] of open(item.payload).entries()) if (envelope !== null) yield { index, envelope, format: single }
  for (const { payload, indexes } of item.later ?? [])
    for (const [at, envelope] of open(payload).entries())
      if (envelope !== null) yield { index: indexes[at] ?? at, envelope, format: single }
}
