/** A request on its way: which service and action, in which of the two protocols, by whom; and its answer in that protocol. */
import { randomUUID } from 'node:crypto'
import { type Broker, CoreError, type HttpAnswer, type HttpHandler, type HttpRequest, type Principal } from '../../broker/face.ts'
import { AwsError, commonError, errorOf, type Service } from './errors.ts'
import { formFields } from './form.ts'
import { Input, isFields } from './input.ts'
import { defaultRegion } from './names.ts'
import { authenticate, type Credential, credentialOf } from './sigv4.ts'
import { snsActions } from './sns/actions.ts'
import { type SnsAction, SnsCall } from './sns/call.ts'
import { Store } from './sns/store.ts'
import { sqsActions } from './sqs/actions.ts'
import { type Caller, type SqsAction, SqsCall } from './sqs/call.ts'
import { namespace, Queues } from './sqs/queue.ts'
import { answerXml, errorXml, snsStyle, sqsStyle } from './xml.ts'

/** A batch of the largest messages, each character escaped. */
const bodyBytesMax = 8 * 1024 * 1024
const targetPrefix = 'AmazonSQS.'

/** What a request asks for, as far as it can be told before it is understood. */
interface Asked {
  readonly service: Service
  readonly wire: 'json' | 'query'
  readonly action: string
  readonly form: URLSearchParams | null
}

export class AwsHandler implements HttpHandler {
  readonly #broker: Broker
  readonly #queues: Queues
  readonly #store: Store

  constructor(broker: Broker) {
    this.#broker = broker
    this.#queues = Queues.of(broker)
    this.#store = Store.of(broker)
  }

  drain(): void {
    this.#queues.drain()
    this.#store.http.drain()
  }

  async answer(request: HttpRequest): Promise<HttpAnswer> {
    const requestId = randomUUID()
    const certificate = request.method === 'GET' ? this.#store.signer.certificateAt(request.path) : undefined
    if (certificate !== undefined)
      return { status: 200, headers: headersOf('application/x-pem-file', requestId), body: certificate }
    const credential = credentialOf(request)
    let asked: Asked = { service: credential?.service === 'sns' ? 'sns' : 'sqs', wire: wireOf(request), action: '', form: null }
    try {
      const body = await request.body(bodyBytesMax)
      asked = whatIsAsked(request, body, credential)
      const result = await this.#perform(request, asked, body, credential)
      return success(asked, result, requestId)
    } catch (cause) {
      const error =
        cause instanceof CoreError && cause.code === 'TooLarge' && asked.action === ''
          ? tooLarge()
          : errorOf(asked.service, cause)
      if (error === null) {
        const internal = commonError('InternalFailure', 'We encountered an internal error. Please try again.', 500)
        this.#broker.log.error(
          { protocol: 'sqs', action: asked.action, error: String((cause as Error).stack) },
          'a request failed',
        )
        return failure(asked, internal, requestId)
      }
      return failure(asked, error, requestId)
    }
  }

  async #perform(request: HttpRequest, asked: Asked, body: Buffer, credential: Credential | undefined): Promise<object | null> {
    const { service, action: name } = asked
    const action = service === 'sqs' ? sqsActions.get(name) : snsActions.get(name)
    const isOpen = action !== undefined && 'open' in action && action.open === true && credential === undefined
    const principal = isOpen ? onlooker : await authenticate(this.#broker, request, body)
    request.connection.info.user = principal.user
    if (action === undefined) {
      if (name === '') throw commonError('MissingAction', 'The request must contain the parameter Action.')
      throw commonError('InvalidAction', `The action ${name} is not valid for this endpoint.`)
    }
    const caller: Caller = {
      principal,
      region: credential?.region ?? defaultRegion,
      base: baseOf(request),
      sender: this.#broker.authenticationRequired ? principal.user : undefined,
      signal: request.signal,
      path: request.path,
    }
    const space = this.#broker.space(principal, namespace, { protocol: service, anyone: true })
    const input = new Input(asked.form === null ? jsonFields(body) : formOf(asked.form, action.shapes ?? {}))
    return service === 'sqs'
      ? await (action as SqsAction).run(new SqsCall(this.#queues, space, input, caller)) // found among them above
      : await (action as SnsAction).run(new SnsCall(this.#store, space, input, caller))
  }
}

/** Who asks for what needs no login. */
const onlooker: Principal = { user: '', may: () => false }

const wireOf = (request: HttpRequest): 'json' | 'query' => (textHeader(request, 'x-amz-target') === '' ? 'query' : 'json')

function whatIsAsked(request: HttpRequest, body: Buffer, credential: Credential | undefined): Asked {
  const target = textHeader(request, 'x-amz-target')
  if (target !== '') {
    const action = target.startsWith(targetPrefix) ? target.slice(targetPrefix.length) : ''
    return { service: 'sqs', wire: 'json', action, form: null }
  }
  if (request.method !== 'POST' && request.method !== 'GET')
    throw commonError('InvalidMethod', `(${request.method}) is not valid for this web service`, 405)
  const form = new URLSearchParams(request.query)
  if (request.method === 'POST') for (const [name, value] of new URLSearchParams(body.toString())) form.append(name, value)
  const version = form.get('Version')
  const service = version === '2010-03-31' || (version === null && credential?.service === 'sns') ? 'sns' : 'sqs'
  return { service, wire: 'query', action: form.get('Action') ?? '', form }
}

function jsonFields(body: Buffer): Readonly<Record<string, unknown>> {
  const invalid = (): AwsError =>
    new AwsError('com.amazon.coral.service#SerializationException', 'SerializationException', 'The body is not a JSON object.')
  if (body.length === 0) return {}
  try {
    const fields: unknown = JSON.parse(body.toString())
    if (isFields(fields)) return fields
  } catch {
    throw invalid()
  }
  throw invalid()
}

function formOf(form: URLSearchParams, shapes: Parameters<typeof formFields>[1]): Readonly<Record<string, unknown>> {
  const fields = formFields(form, shapes)
  if (fields === null) throw commonError('MalformedQueryString', 'The query string contains a syntax error.', 404)
  return fields
}

/** Where the client has reached us. */
function baseOf(request: HttpRequest): string {
  const { encrypted, localAddress, localPort } = request.connection
  const host = textHeader(request, 'host')
  const local = localAddress.includes(':') ? `[${localAddress}]` : localAddress
  return `${encrypted ? 'https' : 'http'}://${host === '' ? `${local}:${localPort}` : host}`
}

function textHeader(request: HttpRequest, name: string): string {
  const value = request.headers[name]
  return typeof value === 'string' ? value : ''
}

const tooLarge = (): AwsError => commonError('RequestEntityTooLarge', `A request has at most ${bodyBytesMax} bytes.`, 413)

function success({ service, wire, action }: Asked, result: object | null, requestId: string): HttpAnswer {
  if (wire === 'query') {
    const style = service === 'sqs' ? sqsStyle : snsStyle
    return { status: 200, headers: headersOf('text/xml', requestId), body: answerXml(style, action, result, requestId) }
  }
  const body = result === null ? '' : JSON.stringify(result)
  return { status: 200, headers: headersOf('application/x-amz-json-1.0', requestId), body }
}

function failure({ service, wire }: Asked, error: AwsError, requestId: string): HttpAnswer {
  if (wire === 'query') {
    const style = service === 'sqs' ? sqsStyle : snsStyle
    return { status: error.queryStatus, headers: headersOf('text/xml', requestId), body: errorXml(style, error, requestId) }
  }
  return {
    status: error.status,
    headers: {
      ...headersOf('application/x-amz-json-1.0', requestId),
      'x-amzn-query-error': `${error.code};${error.senderFault ? 'Sender' : 'Receiver'}`,
    },
    body: JSON.stringify({ __type: error.type, message: error.message }),
  }
}

const headersOf = (type: string, requestId: string): Record<string, string> => ({
  'content-type': type,
  'x-amzn-requestid': requestId,
})
