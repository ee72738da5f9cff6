/** The commands that talk to a running broker do it by its HTTP API. */

import { httpDefaultPort } from '../protocols/table.ts'
import { type OptionSpec, optionValue, type ParsedArguments } from './arguments.ts'

export const clientOptions: readonly OptionSpec[] = [
  { name: 'url', value: 'URL', help: `the broker's HTTP address (default $ANYMQ_URL, else http://127.0.0.1:${httpDefaultPort})` },
  { name: 'user', value: 'NAME', help: 'who to log in as (default $ANYMQ_USER; the password is $ANYMQ_PASSWORD)' },
  { name: 'namespace', value: 'NAME', help: 'namespace (default "default")' },
]

export class ApiClient {
  readonly #base: string
  readonly #namespace: string
  readonly #authorization: string | undefined

  constructor(parsed: ParsedArguments) {
    this.#base = (optionValue(parsed, 'url') ?? process.env['ANYMQ_URL'] ?? `http://127.0.0.1:${httpDefaultPort}`).replace(
      /\/+$/,
      '',
    )
    this.#namespace = optionValue(parsed, 'namespace') ?? 'default'
    const user = optionValue(parsed, 'user') ?? process.env['ANYMQ_USER']
    if (user !== undefined) {
      const password = process.env['ANYMQ_PASSWORD'] ?? ''
      this.#authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
    }
  }

  /** Resolves to the parsed answer, or rejects with the broker's own message. */
  async call(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
    const response = await this.#fetch(method, path, body)
    const text = await response.text()
    return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>) // every answer of the API is an object
  }

  /** The lines of an answer that does not end by itself. */
  async *lines(path: string): AsyncGenerator<string> {
    const response = await this.#fetch('GET', path, undefined)
    if (response.body === null) return
    let rest = ''
    for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
      const parts = (rest + text).split('\n')
      rest = parts.pop() ?? ''
      yield* parts
    }
  }

  async #fetch(method: string, path: string, body: unknown): Promise<Response> {
    const url = new URL(this.#base + path)
    url.searchParams.set('namespace', this.#namespace)
    const headers: Record<string, string> = {}
    if (body !== undefined) headers['content-type'] = 'application/json'
    if (this.#authorization !== undefined) headers['authorization'] = this.#authorization
    let response: Response
    try {
      response = await fetch(url, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
    } catch (cause) {
      const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause)
      throw new Error(`no broker answers at ${this.#base} (${reason}); start one with: anymq serve`)
    }
    if (!response.ok) throw new Error(await errorMessage(response))
    return response
  }
}

async function errorMessage(response: Response): Promise<string> {
  const text = await response.text()
  try {
    const parsed = JSON.parse(text) as { error?: { message?: string } } // shape checked by the optional accesses below
    return parsed.error?.message ?? text
  } catch {
    return `${response.status} ${text}` // not an answer of ours, so show it as it is
  }
}

export function topicPath(name: string): string {
  return `/v1/topics/${encodeURIComponent(name)}`
}
