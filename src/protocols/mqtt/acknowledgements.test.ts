/** Answers leave in the order of what they answer, whatever becomes known first, and however many wait. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection } from '../../broker/face.ts'
import { Acknowledgements } from './acknowledgements.ts'
import { Packet, Version } from './codec.ts'

function made(): { acknowledgements: Acknowledgements; answered: number[] } {
  const answered: number[] = []
  // Nothing else of the connection is used.
  const connection = { write: (bytes: Buffer) => void answered.push(bytes.readUInt16BE(2)) } as unknown as Connection
  return { acknowledgements: new Acknowledgements(connection, Version.V311), answered }
}

test('an answer waits for those before it', () => {
  const { acknowledgements, answered } = made()
  const [first, second, third] = [1, 2, 3].map((id) => acknowledgements.expect(Packet.Puback, id))
  third?.(0)
  second?.(0)
  assert.deepEqual(answered, [])
  assert.equal(acknowledgements.waiting, 3)
  first?.(0)
  assert.deepEqual(answered, [1, 2, 3])
  assert.equal(acknowledgements.waiting, 0)
})

test('each of a hundred thousand costs the same', () => {
  const { acknowledgements, answered } = made()
  const ids = Array.from({ length: 100_000 }, (_, i) => i % 65_536)
  const answers = ids.map((id) => acknowledgements.expect(Packet.Puback, id))
  for (const answer of answers) answer(0)
  assert.deepEqual(answered, ids)
})
