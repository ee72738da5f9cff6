/** A request's JSON body. */
import type { HttpRequest } from '../broker/face.ts'
import { invalid } from './errors.ts'
import { object } from './input.ts'

export async function readJsonBody(request: HttpRequest, bytesMax: number): Promise<Record<string, unknown>> {
  const body = await request.body(bytesMax)
  if (body.length === 0) return {}
  // Browsers send this type across origins only after asking us, which we do not answer: so no web page can make a local broker act.
  const type = request.headers['content-type'] ?? ''
  if (typeof type !== 'string' || !/^application\/json\b/i.test(type))
    throw invalid('the body must be sent with content-type: application/json')
  let parsed: unknown
  try {
    parsed = JSON.parse(body.toString('utf8'))
  } catch (cause) {
    throw invalid(`the body is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
  return { ...object(parsed, 'the body') }
}
