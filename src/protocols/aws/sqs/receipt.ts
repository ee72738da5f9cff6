/** Receipt handles: version (1), the topic's id, u32 partition, u48 offset, the receipt's own number; in base64. */

export interface Place {
  readonly partition: number
  readonly offset: number
}

export interface Receipt extends Place {
  /** 16 bytes. */
  readonly topic: Buffer
  /** 8 bytes in hexadecimal: tells this receipt from earlier and later ones of the message. */
  readonly serial: string
}

const bytes = 35

export function encodeReceipt({ topic, partition, offset, serial }: Receipt): string {
  const handle = Buffer.alloc(bytes)
  handle[0] = 1
  topic.copy(handle, 1)
  handle.writeUInt32BE(partition, 17)
  handle.writeUIntBE(offset, 21, 6)
  handle.write(serial, 27, 'hex')
  return handle.toString('base64')
}

export function decodeReceipt(text: string): Receipt | undefined {
  const handle = Buffer.from(text, 'base64')
  if (handle.length !== bytes || handle[0] !== 1 || handle.toString('base64') !== text) return undefined
  return {
    topic: handle.subarray(1, 17),
    partition: handle.readUInt32BE(17),
    offset: handle.readUIntBE(21, 6),
    serial: handle.toString('hex', 27),
  }
}
