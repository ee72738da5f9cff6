/** The OpenAPI 3.1 document of the API, made from the route table. */
import type { Route, Schema } from './route.ts'

export function openApiDocument(routes: readonly Route[], version: string): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) {
    const item = (paths[route.path] ??= {})
    item[route.method.toLowerCase()] = operation(route)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'AnyMQ',
      version,
      description: 'Manage topics, subscriptions, records, schedules, dead letters, connections and users of an AnyMQ broker.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    paths,
    components: { securitySchemes: { basic: { type: 'http', scheme: 'basic' } }, schemas: { Error: errorSchema } },
    security: [{ basic: [] }, {}],
  }
}

function operation(route: Route): object {
  const parameters = [
    ...[...route.path.matchAll(/\{(\w+)\}/g)].map((match) => ({
      name: match[1],
      in: 'path',
      required: true,
      schema: { type: 'string' },
    })),
    ...(route.query ?? []).map((parameter) => ({ ...parameter, in: 'query', required: false })),
    ...(route.open === true || route.path === '/metrics' || route.path.startsWith('/v1/') === false ? [] : [namespaceParameter]),
  ]
  const status = String(route.status ?? 200)
  return {
    operationId: operationId(route),
    tags: [route.tag],
    summary: route.summary,
    ...(route.description === undefined ? {} : { description: route.description }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(route.body === undefined ? {} : { requestBody: { required: true, content: json(route.body) } }),
    ...(route.open === true ? { security: [] } : {}),
    responses: {
      [status]: { description: 'Done.', ...(route.response === undefined ? {} : { content: json(route.response) }) },
      default: { description: 'Refused or failed.', content: json({ $ref: '#/components/schemas/Error' }) },
    },
  }
}

function operationId(route: Route): string {
  const words = route.path.split(/[^A-Za-z0-9]+/).filter((word) => word !== '' && word !== 'v1')
  return route.method.toLowerCase() + words.map((word) => word[0]?.toUpperCase() + word.slice(1)).join('')
}

function json(schema: Schema): object {
  return { 'application/json': { schema } }
}

const namespaceParameter = {
  name: 'namespace',
  in: 'query',
  required: false,
  schema: { type: 'string', default: 'default' },
  description: 'The namespace that the call works in.',
}

const errorSchema = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message'],
      properties: { code: { type: 'string' }, message: { type: 'string' } },
    },
  },
}
