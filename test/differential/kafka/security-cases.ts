/** Quotas, ACL, credentials and tokens, on brokers without users. */
import type { Message } from '../../../src/protocols/kafka/schema.ts'
import { type Case, expecting } from './case.ts'

export function securityCases(): Case[] {
  const filter = {
    resourceTypeFilter: 1,
    resourceNameFilter: null,
    patternTypeFilter: 1,
    principalFilter: null,
    hostFilter: null,
    operation: 1,
    permissionType: 1,
  }
  const creation = {
    resourceType: 2,
    resourceName: 't',
    resourcePatternType: 3,
    principal: 'User:alice',
    host: '*',
    operation: 3,
    permissionType: 3,
  }
  const quota =
    (entity: object[], ops: object[], more: object = {}) =>
    (): Message => ({ entries: [{ entity, ops }], validateOnly: false, ...more })
  const user = { entityType: 'user', entityName: 'alice' }
  const address = { entityType: 'ip', entityName: '10.11.12.13' }
  const anyAddress = { entityType: 'ip', entityName: null }
  const client = { entityType: 'client-id', entityName: 'app' }
  const op = (key: string, value: number, remove = false): object => ({ key, value, remove })
  const find =
    (components: object[], strict = false) =>
    (): Message => ({ components, strict })
  return [
    { name: 'without an authorizer', key: 29, body: () => filter },
    { name: 'without an authorizer', key: 30, body: () => ({ creations: [creation] }) },
    { name: 'without an authorizer', key: 31, body: () => ({ filters: [filter] }) },
    {
      name: 'nothing asked',
      key: 29,
      versions: [1, 3],
      ...expecting(/^/, 'Kafka closes the connection on a filter it does not understand; here it is answered'),
      body: () => ({ ...filter, resourceTypeFilter: 0 }),
    },
    { name: 'a rate for a user', key: 49, body: quota([user], [op('producer_byte_rate', 1_000_000)]) },
    {
      name: 'a rate for a user and client',
      key: 49,
      body: quota([user, client], [op('consumer_byte_rate', 2_000_000), op('producer_byte_rate', 5)]),
    },
    {
      name: 'a default',
      key: 49,
      body: quota([{ entityType: 'client-id', entityName: null }], [op('consumer_byte_rate', 3_000_000)]),
    },
    {
      name: 'validated only',
      key: 49,
      body: quota([{ entityType: 'user', entityName: 'bob' }], [op('producer_byte_rate', 1)], { validateOnly: true }),
    },
    { name: 'an unknown key', key: 49, body: quota([user], [op('no_such', 1)]) },
    {
      name: 'an unknown kind of entity',
      key: 49,
      body: quota([{ entityType: 'planet', entityName: 'x' }], [op('producer_byte_rate', 1)]),
    },
    { name: 'no entity', key: 49, body: quota([], [op('producer_byte_rate', 1)]) },
    { name: 'an entity twice', key: 49, body: quota([user, user], [op('producer_byte_rate', 1)]) },
    { name: 'a negative rate', key: 49, body: quota([user], [op('producer_byte_rate', -1)]) },
    { name: 'a broken rate', key: 49, body: quota([user], [op('producer_byte_rate', 1.5)]) },
    { name: 'an empty name', key: 49, body: quota([{ entityType: 'user', entityName: '' }], [op('producer_byte_rate', 1)]) },
    {
      name: 'the same entity in two entries',
      key: 49,
      body: () => ({ entries: [1, 2].map(() => ({ entity: [user], ops: [op('producer_byte_rate', 1)] })), validateOnly: true }),
    },
    { name: 'all', key: 48, body: find([]), until: (a) => a['entries']?.length === 3 },
    { name: 'of a user', key: 48, body: find([{ entityType: 'user', matchType: 0, match: 'alice' }]) },
    { name: 'of a user, strictly', key: 48, body: find([{ entityType: 'user', matchType: 0, match: 'alice' }], true) },
    { name: 'of any user', key: 48, body: find([{ entityType: 'user', matchType: 2, match: null }]) },
    { name: 'of the default client', key: 48, body: find([{ entityType: 'client-id', matchType: 1, match: null }]) },
    { name: 'of an unknown kind', key: 48, body: find([{ entityType: 'planet', matchType: 2, match: null }]) },
    {
      name: 'of one kind twice',
      key: 48,
      body: find([
        { entityType: 'user', matchType: 2, match: null },
        { entityType: 'user', matchType: 2, match: null },
      ]),
    },
    { name: 'by an unknown match', key: 48, body: find([{ entityType: 'user', matchType: 7, match: 'a' }]) },
    { name: 'removed', key: 49, body: quota([user], [op('producer_byte_rate', 0, true)]) },
    {
      name: 'after the removal',
      key: 48,
      body: find([{ entityType: 'user', matchType: 0, match: 'alice' }], true),
      until: (a) => a['entries']?.length === 0,
    },
    { name: 'a part of the time', key: 49, body: quota([user], [op('request_percentage', 12.5)]) },
    { name: 'a rate of mutations', key: 49, body: quota([user, client], [op('controller_mutation_rate', 2.5)]) },
    { name: 'a rate of connections for an address', key: 49, body: quota([address], [op('connection_creation_rate', 5)]) },
    { name: 'a rate of connections for any', key: 49, body: quota([anyAddress], [op('connection_creation_rate', 1000)]) },
    { name: 'a broken rate of connections', key: 49, body: quota([address], [op('connection_creation_rate', 1.5)]) },
    { name: 'too high a rate of connections', key: 49, body: quota([address], [op('connection_creation_rate', 3e9)]) },
    { name: 'a rate of connections for a user', key: 49, body: quota([user], [op('connection_creation_rate', 5)]) },
    { name: 'a byte rate for an address', key: 49, body: quota([address], [op('producer_byte_rate', 5)]) },
    { name: 'an address and a user', key: 49, body: quota([address, user], [op('connection_creation_rate', 5)]) },
    { name: 'no percentage', key: 49, body: quota([user], [op('request_percentage', 0)]) },
    {
      name: 'with time and addresses',
      key: 48,
      body: find([]),
      until: (a) => a['entries']?.length === 6,
    },
    { name: 'of an address', key: 48, body: find([{ entityType: 'ip', matchType: 0, match: '10.11.12.13' }], true) },
    { name: 'of any address', key: 48, body: find([{ entityType: 'ip', matchType: 1, match: null }]) },
    {
      name: 'of an address and a user',
      key: 48,
      body: find([
        { entityType: 'ip', matchType: 2, match: null },
        { entityType: 'user', matchType: 2, match: null },
      ]),
    },
    { name: 'removed for any', key: 49, body: quota([anyAddress], [op('connection_creation_rate', 0, true)]) },
    { name: 'no users', key: 50, body: () => ({ users: null }) },
    { name: 'a missing user', key: 50, body: () => ({ users: [{ name: 'nobody' }] }) },
    { name: 'one user twice', key: 50, body: () => ({ users: [{ name: 'nobody' }, { name: 'nobody' }] }) },
    { name: 'a deletion of nobody', key: 51, body: () => ({ deletions: [{ name: 'nobody', mechanism: 1 }], upsertions: [] }) },
    {
      name: 'an unknown mechanism',
      key: 51,
      body: () => ({
        deletions: [],
        upsertions: [{ name: 'x', mechanism: 9, iterations: 4096, salt: Buffer.from('salt'), saltedPassword: Buffer.alloc(32) }],
      }),
    },
    {
      name: 'too few iterations',
      key: 51,
      body: () => ({
        deletions: [],
        upsertions: [{ name: 'x', mechanism: 1, iterations: 10, salt: Buffer.from('salt'), saltedPassword: Buffer.alloc(32) }],
      }),
    },
    {
      name: 'too many iterations',
      key: 51,
      body: () => ({
        deletions: [],
        upsertions: [
          { name: 'x', mechanism: 1, iterations: 20_000, salt: Buffer.from('salt'), saltedPassword: Buffer.alloc(32) },
        ],
      }),
    },
    { name: 'an empty name', key: 51, body: () => ({ deletions: [{ name: '', mechanism: 1 }], upsertions: [] }) },
    {
      name: 'a user twice',
      key: 51,
      body: () => ({ deletions: [1, 2].map(() => ({ name: 'x', mechanism: 1 })), upsertions: [] }),
    },
    { name: 'tokens', key: 41, body: () => ({ owners: null }) },
    { name: 'a new token', key: 38, body: () => ({ renewers: [], maxLifetimeMs: -1 }) },
    { name: 'a renewal', key: 39, body: () => ({ hmac: Buffer.from('x'), renewPeriodMs: 1 }) },
    { name: 'an expiry', key: 40, body: () => ({ hmac: Buffer.from('x'), expiryTimePeriodMs: 1 }) },
  ]
}
