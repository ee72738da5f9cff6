/** Users and what they may do. The first user must be an administrator: from then on everybody has to log in. */
import { type Broker, CoreError, type Operations, type Permission } from '../../broker/face.ts'
import { invalid } from '../errors.ts'
import { type Fields, object, onlyKeys, optionalFlag, optionalList, optionalObject, optionalText } from '../input.ts'
import type { Route, Schema } from '../route.ts'

const patternSchema: Schema = {
  type: 'string',
  description: 'A regular expression matched against the whole name; empty allows nothing.',
}

const userSchema: Schema = {
  type: 'object',
  properties: {
    password: { type: 'string', writeOnly: true },
    signingSecret: {
      type: 'string',
      writeOnly: true,
      description:
        "What the user's requests are signed with where a protocol signs them (the secret access key of SQS and SNS; the access key id is the user's name). Stored as it is; empty takes it away.",
    },
    admin: { type: 'boolean' },
    disabled: { type: 'boolean', description: 'The user cannot log in; who has logged in stays.' },
    operations: {
      type: 'object',
      additionalProperties: { type: 'array', items: { type: 'string' } },
      description:
        'Which operations of single protocols the user may use, within the permissions, by the name of the protocol and in its words; of others, all that permissions allow. For redis these are rules as ACL SETUSER takes them: ["+@all", "-@dangerous"], ["+get", "+config|get", "~cache:*"]. Replaces what there was.',
    },
    permissions: {
      type: 'array',
      items: {
        type: 'object',
        required: ['namespace'],
        properties: { namespace: patternSchema, publish: patternSchema, consume: patternSchema, manage: patternSchema },
      },
    },
  },
}

export const userRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/users',
    tag: 'users',
    summary: 'List users with their permissions',
    admin: true,
    handle: ({ broker }) => ({ users: broker.users.list() }),
  },
  {
    method: 'PUT',
    path: '/v1/users/{name}',
    tag: 'users',
    summary: 'Create or change a user',
    description: 'What is left out stays as it is. The first user must be an administrator.',
    admin: true,
    body: userSchema,
    handle: async ({ broker, parameter, body }) => {
      onlyKeys(body, ['password', 'signingSecret', 'admin', 'disabled', 'permissions', 'operations'])
      const password = optionalText(body, 'password')
      const signingSecret = optionalText(body, 'signingSecret')
      const admin = optionalFlag(body, 'admin')
      const disabled = optionalFlag(body, 'disabled')
      const permissions = optionalList(body, 'permissions')?.map(permission)
      const operations = optionalOperations(body)
      const name = parameter('name')
      await broker.users.change(name, () => {
        checkKeepsAdmin(broker, name, admin, disabled)
        return {
          ...(password === undefined ? {} : { password }),
          ...(signingSecret === undefined ? {} : { signingSecret: signingSecret === '' ? null : signingSecret }),
          ...(admin === undefined ? {} : { admin }),
          ...(disabled === undefined ? {} : { disabled }),
          ...(permissions === undefined ? {} : { permissions }),
          ...(operations === undefined ? {} : { operations }),
        }
      })
      return broker.users.list().find((user) => user.name === name)
    },
  },
  {
    method: 'DELETE',
    path: '/v1/users/{name}',
    tag: 'users',
    summary: 'Delete a user',
    description:
      'With the last user gone nobody has to log in any more; the last administrator can only be deleted as the last user.',
    admin: true,
    status: 204,
    handle: async ({ broker, parameter }) => {
      const name = parameter('name')
      const check = (): void => {
        const others = broker.users.list().filter((user) => user.name !== name)
        if (others.length > 0 && !others.some((user) => user.admin && !user.disabled))
          throw new CoreError('Mismatch', `"${name}" is the last administrator`)
      }
      if (!(await broker.users.delete(name, check))) throw new CoreError('NotFound', `there is no user "${name}"`)
    },
  },
]

/** Else nobody could manage users any more. */
function checkKeepsAdmin(broker: Broker, name: string, admin?: boolean, disabled?: boolean): void {
  const users = broker.users.list()
  const present = users.find((user) => user.name === name)
  const others = users.some((user) => user.admin && !user.disabled && user.name !== name)
  const remains = (admin ?? present?.admin ?? false) && !(disabled ?? present?.disabled ?? false)
  if (!others && !remains)
    throw new CoreError('Mismatch', 'there must be an administrator who can log in: give "admin": true, "disabled": false')
}

function optionalOperations(body: Fields): Operations | undefined {
  const written = optionalObject(body, 'operations')
  if (written === undefined) return undefined
  const words = (protocol: string): string[] =>
    (optionalList(written, protocol) ?? []).map((each) => {
      if (typeof each !== 'string') throw invalid(`operations: ${protocol} must be a list of strings`)
      return each
    })
  return Object.fromEntries(Object.keys(written).map((protocol) => [protocol, words(protocol)]))
}

function permission(value: unknown): Permission {
  const fields = object(value, 'a permission')
  onlyKeys(fields, ['namespace', 'publish', 'consume', 'manage'], 'a permission')
  const pattern = (name: string, absent: string): string => {
    const written = optionalText(fields, name) ?? absent
    try {
      new RegExp(written)
    } catch {
      throw invalid(`${name}: ${written} is not a regular expression`)
    }
    return written
  }
  return {
    namespace: pattern('namespace', 'default'),
    publish: pattern('publish', ''),
    consume: pattern('consume', ''),
    manage: pattern('manage', ''),
  }
}
