/** Rules about single names or prefixes, which allow or deny beside users' permissions, also by where a client comes from. */
import type { AccessRule } from '../../broker/face.ts'
import { invalid } from '../errors.ts'
import { type Fields, onlyKeys, optionalText, text } from '../input.ts'
import type { Route } from '../route.ts'

const choices = {
  kind: ['topic', 'group', 'transaction', 'cluster'],
  match: ['exact', 'prefix'],
  action: ['all', 'publish', 'consume', 'create', 'delete', 'alter', 'configure', 'describe', 'describeConfig', 'operate'],
  effect: ['allow', 'deny'],
} as const satisfies { [Field in keyof AccessRule]?: readonly AccessRule[Field][] }

const properties: Readonly<Record<keyof AccessRule, { readonly description?: string; readonly [key: string]: unknown }>> = {
  namespace: { type: 'string', default: 'default' },
  kind: { type: 'string', enum: choices.kind, default: 'topic', description: 'What the name is of; exchanges are topics here.' },
  match: { type: 'string', enum: choices.match, default: 'exact' },
  name: { type: 'string', description: 'With an exact match, * is every name. The cluster has none.' },
  user: { type: 'string', description: '* is every user.' },
  from: {
    type: 'string',
    default: '*',
    description: "Where the user's client has to come from: an IP address or a network (10.0.0.0/8); * is anywhere.",
  },
  action: { type: 'string', enum: choices.action },
  effect: { type: 'string', enum: choices.effect },
}

export const ruleRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/rules',
    tag: 'users',
    summary: 'List rules that allow or deny beside permissions',
    admin: true,
    handle: ({ broker }) => ({ rules: broker.rules.list() }),
  },
  {
    method: 'POST',
    path: '/v1/rules',
    tag: 'users',
    summary: 'Add a rule',
    description:
      'What a rule denies is denied, whatever else allows it (administrators excepted); what one allows needs no permission. Holds in every protocol, at once. One that is there already stays.',
    admin: true,
    status: 201,
    body: { type: 'object', required: ['user', 'action', 'effect'], properties },
    handle: async ({ broker, body }) => {
      const rule = ruleOf(body)
      await broker.rules.add([rule])
      return rule
    },
  },
  {
    method: 'DELETE',
    path: '/v1/rules',
    tag: 'users',
    summary: 'Remove the rule that says just this',
    admin: true,
    status: 204,
    query: Object.entries(properties).map(([name, { description = '', ...schema }]) => ({ name, schema, description })),
    handle: async ({ broker, query }) => broker.rules.remove([ruleOf(Object.fromEntries(query))]),
  },
]

function ruleOf(fields: Fields): AccessRule {
  onlyKeys(fields, Object.keys(properties), 'a rule')
  return {
    namespace: optionalText(fields, 'namespace') ?? 'default',
    kind: oneOf(fields, 'kind', choices.kind, 'topic'),
    match: oneOf(fields, 'match', choices.match, 'exact'),
    name: optionalText(fields, 'name') ?? '',
    user: text(fields, 'user'),
    from: optionalText(fields, 'from') ?? '*',
    action: oneOf(fields, 'action', choices.action),
    effect: oneOf(fields, 'effect', choices.effect),
  }
}

function oneOf<T extends string>(fields: Fields, name: string, known: readonly T[], absent?: T): T {
  const written = optionalText(fields, name) ?? absent
  const found = known.find((each) => each === written)
  if (found === undefined) throw invalid(`${name} must be one of ${known.join(', ')}`)
  return found
}
