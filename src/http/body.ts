/** Collects a request's JSON body up to a limit; what is longer is refused before it is buffered. */
import type { IncomingMessage } from 'node:http'
import { CoreError } from '../broker/face.ts'
import { invalid } from './errors.ts'
import { object } from './input.ts'

export async function readJsonBody(request: IncomingMessage, bytesMax: number): Promise<Record<string, unknown>> {
  const declared = Number(request.headers['content-length'] ?? 0)
  if (declared > bytesMax) throw tooLarge(bytesMax)
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    // a request without setEncoding yields buffers
    bytes += chunk.length
    if (bytes > bytesMax) throw tooLarge(bytesMax)
    chunks.push(chunk)
  }
  if (bytes === 0) return {}
  // Browsers send this type across origins only after asking us, which we do not answer: so no web page can make a local broker act.
  const type = request.headers['content-type'] ?? ''
  if (!/^application\/json\b/i.test(type)) throw invalid('the body must be sent with content-type: application/json')
  let parsed: unknown
  try {
    parsed = JSON.parse(Buffer.concat(chunks, bytes).toString('utf8'))
  } catch (cause) {
    throw invalid(`the body is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
  return { ...object(parsed, 'the body') }
}

function tooLarge(bytesMax: number): CoreError {
  return new CoreError('TooLarge', `the body is larger than ${bytesMax} bytes`)
}
