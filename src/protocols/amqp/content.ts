// Methods with content, written to a connection: header and body frames.
import type { Connection } from '../../broker/face.ts'
import { FrameType, frameEnd, frameOverhead, methodFrame, writeContentHeader, writeU32 } from './codec.ts'
import { EnvelopeView } from './mapping.ts'
import type { MethodFields, MethodName } from './methods.ts'

/** For the cold ones; the content is an envelope's. */
export function writeContent<N extends MethodName>(
  { connection, frameMax }: { readonly connection: Connection; readonly frameMax: number },
  channel: number,
  name: N,
  fields: MethodFields<N>,
  envelope: Buffer,
): void {
  const view = new EnvelopeView()
  if (!view.read(envelope, 0, envelope.length)) return
  connection.write(methodFrame(channel, name, fields))
  const { properties, propertiesEnd, body } = view
  const bytes = 7 + 12 + propertiesEnd - properties + 1
  const at = connection.reserve(bytes)
  const { length } = envelope
  writeContentHeader(connection.slab, at, channel >> 8, channel & 0xff, envelope, properties, propertiesEnd, length - body)
  connection.commit(bytes)
  if (body < length) writeBody(connection, frameMax, channel, envelope, body, length)
}

/** Body frames by reference, split at the negotiated size. */
export function writeBody(
  connection: Connection,
  frameMax: number,
  channel: number,
  buffer: Buffer,
  start: number,
  end: number,
): void {
  const most = frameMax - frameOverhead
  for (let from = start; from < end; from += most) {
    const to = Math.min(end, from + most)
    const at = connection.reserve(7)
    const slab = connection.slab
    slab[at] = FrameType.Body
    slab[at + 1] = channel >> 8
    slab[at + 2] = channel
    writeU32(slab, at + 3, to - from)
    connection.commit(7)
    connection.write(buffer.subarray(from, to))
    const tail = connection.reserve(1)
    connection.slab[tail] = frameEnd
    connection.commit(1)
  }
}
