/** What is compressed opens to what it was, at any split; what is damaged is said, and does not grow. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { deflateRawSync, constants as zlib } from 'node:zlib'
import type { Connection } from '../../broker/face.ts'
import { Compressing, type Compression, openingOf } from './compression.ts'

/** Compresses several turns' writes, and gives what would be sent. */
async function compressed(compression: Compression, turns: readonly Buffer[]): Promise<Buffer> {
  const sent: Uint8Array[] = []
  const connection = { write: (bytes: Uint8Array) => sent.push(bytes) } as unknown as Connection // all that it uses
  const output = new Compressing(connection, compression, 6)
  for (const bytes of turns) {
    output.write(bytes)
    await Promise.resolve()
  }
  output.flush()
  return Buffer.concat(sent)
}

class Opened {
  readonly parts: Buffer[] = []
  damage: string | null = null
  pauses = 0
  readonly connection = { pause: () => void this.pauses++, resume: () => void this.pauses-- }
  onOpened(bytes: Buffer): void {
    this.parts.push(bytes)
  }
  onDamaged(reason: string): void {
    this.damage ??= reason
  }
  get bytes(): Buffer {
    return Buffer.concat(this.parts)
  }
}

const until = async (holds: () => boolean): Promise<void> => {
  for (let tries = 0; tries < 500 && !holds(); tries++) await new Promise((resolve) => setTimeout(resolve, 5))
}

for (const compression of ['snappy', 'deflate'] as const) {
  test(`${compression}: several turns, large and small, at several splits`, async () => {
    const turns = [Buffer.from('a'), Buffer.alloc(200_000, 'xyz'), randomBytes(70_000), Buffer.from('end')]
    const bytes = await compressed(compression, turns)
    for (const step of [1000, 65_536, bytes.length]) {
      const opened = new Opened()
      const opening = openingOf(compression, opened)
      for (let at = 0; at < bytes.length; at += step) opening.push(Buffer.from(bytes.subarray(at, at + step)))
      await until(() => opened.bytes.length === 270_004)
      assert.deepEqual(opened.bytes, Buffer.concat(turns))
      assert.equal(opened.damage, null)
      opening.close()
    }
  })
}

test('snappy: what is damaged is named, and nothing of it handed on', async () => {
  const good = await compressed('snappy', [Buffer.from('hello')])
  const wrong = (change: (bytes: Buffer) => void): Buffer => {
    const bytes = Buffer.from(good)
    change(bytes)
    return bytes
  }
  for (const [bytes, reason] of [
    [good.subarray(10), /stream identifier/],
    [wrong((of) => of.write('x', 5)), /stream identifier/],
    [wrong((of) => of.writeUInt32LE(1, 14)), /checksum/],
    [wrong((of) => of.writeUInt8(0x02, 10)), /type 2/],
    [wrong((of) => of.writeUIntLE(0xff_ffff, 11, 3)), /too large/],
    [wrong((of) => of.writeUInt8(0x00, 10)), /snappy/],
  ] as const) {
    const opened = new Opened()
    openingOf('snappy', opened).push(bytes)
    assert.match(opened.damage ?? 'nothing', reason)
    assert.equal(opened.bytes.length, 0)
  }
})

test('deflate: what opens to very much pauses who sends it', async () => {
  const opened = new Opened()
  const opening = openingOf('deflate', opened)
  const bomb = deflateRawSync(Buffer.alloc(35_000_000), { finishFlush: zlib.Z_SYNC_FLUSH })
  for (let times = 0; times < 2; times++) opening.push(bomb)
  assert.equal(opened.pauses, 1)
  await until(() => opened.parts.reduce((sum, { length }) => sum + length, 0) === 70_000_000)
  assert.ok(opened.parts.every(({ length }) => length <= 65_536))
  assert.equal(opened.pauses, 0)
  opening.push(Buffer.from('not deflated at all'))
  await until(() => opened.damage !== null)
  assert.notEqual(opened.damage, null)
})
