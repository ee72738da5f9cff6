/** Envelope ⇄ attributes. An envelope is version byte (1), u64 id, u32 priority, u32 delay, u32 time to run (both in seconds), the body as it came. */
import { Buffer } from 'node:buffer'
import type { Attributes, Format, Header } from '../../core/record.ts'
import { getU64, putU64 } from '../../lib/bytes.ts'

export const jobFormatId = 192

/** What a job is made with. */
export interface JobHead {
  readonly id: number
  /** 0 is the most urgent, 2^32 - 1 the least. */
  readonly priority: number
  readonly delaySeconds: number
  readonly ttrSeconds: number
}

/** Of a record that another protocol published; it gets its id when it is found. */
export const foreignHead = { priority: 1024, delaySeconds: 0, ttrSeconds: 60 } as const

export const headBytes = 21

export function encodeJob({ id, priority, delaySeconds, ttrSeconds }: JobHead, body: Buffer): Buffer {
  const envelope = Buffer.allocUnsafe(headBytes + body.length)
  envelope[0] = 1
  putU64(envelope, 1, id)
  envelope.writeUInt32BE(priority, 9)
  envelope.writeUInt32BE(delaySeconds, 13)
  envelope.writeUInt32BE(ttrSeconds, 17)
  body.copy(envelope, headBytes)
  return envelope
}

/** null: it is damaged. */
export function decodeHead(envelope: Buffer): JobHead | null {
  if (envelope.length < headBytes || envelope[0] !== 1) return null
  return {
    id: getU64(envelope, 1),
    priority: envelope.readUInt32BE(9),
    delaySeconds: envelope.readUInt32BE(13),
    ttrSeconds: envelope.readUInt32BE(17),
  }
}

const priorityExtra = 'beanstalkd.pri'
const ttrExtra = 'beanstalkd.ttr'

export const jobFormat: Format = {
  id: jobFormatId,
  name: 'beanstalkd job',
  batched: false,
  toAttributes(envelope): Attributes {
    const head = decodeHead(envelope)
    if (head === null) return { key: null, value: envelope, headers: [] }
    return {
      key: null,
      value: envelope.subarray(headBytes),
      headers: [],
      extra: [number(priorityExtra, head.priority), number(ttrExtra, head.ttrSeconds)],
    }
  },
  fromAttributes({ value, extra = [] }): Buffer {
    const said = (name: string, otherwise: number): number => {
      const found = Number(extra.find((header) => header.name === name)?.value.value)
      return Number.isInteger(found) && found >= 0 && found <= 0xffffffff ? found : otherwise
    }
    const priority = said(priorityExtra, foreignHead.priority)
    const ttrSeconds = said(ttrExtra, foreignHead.ttrSeconds)
    return encodeJob({ id: 0, priority, delaySeconds: 0, ttrSeconds }, value ?? Buffer.alloc(0))
  },
}

const number = (name: string, value: number): Header => ({ name, value: { type: 'u32', value } })
