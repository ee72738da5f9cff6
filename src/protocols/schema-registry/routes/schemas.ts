/** Schemas by their ids, and what the registry says of itself. */

import { schemaLanguages } from '../../../lib/schemas/parse-schema.ts'
import { denied, schemaNotFound } from '../errors.ts'
import { type Call, RawText, type Route, unqualified } from '../route.ts'
import { shownSchema, shownVersion, textOf } from '../shown.ts'
import type { Version } from '../store.ts'
import { subjectPrefix } from './subjects.ts'

export const schemaRoutes: readonly Route[] = [
  { method: 'GET', path: '/', handle: () => ({}) },
  { method: 'GET', path: '/schemas/types', handle: () => schemaLanguages },
  { method: 'GET', path: '/contexts', handle: (call) => call.page(['.']) },
  {
    method: 'GET',
    path: '/v1/metadata/id',
    handle: ({ broker }) => ({
      scope: { path: [], clusters: { 'kafka-cluster': broker.clusterId, 'schema-registry-cluster': 'schema-registry' } },
      id: '',
    }),
  },
  { method: 'GET', path: '/v1/metadata/version', handle: ({ facts }) => ({ version: `AnyMQ ${facts.version}`, commitId: '' }) },
  {
    method: 'GET',
    path: '/schemas',
    handle: (call) => {
      const { registry, caller, query } = call
      const prefix = subjectPrefix(query.get('subjectPrefix'))
      const latest = (each: Version): boolean =>
        !call.flag('latestOnly') || registry.latest(each.subject)?.version === each.version
      const versions = registry.store
        .allVersions()
        .filter((each) => each.subject.startsWith(prefix) && (!each.deleted || call.flag('deleted')))
        .filter((each) => latest(each) && caller.mayRead(each.subject))
      return call.page(versions).map((each) => shownVersion(registry, each, null))
    },
  },
  {
    method: 'GET',
    path: '/schemas/ids/:id',
    handle: (call) => {
      const id = wanted(call)
      const shown = shownSchema(call.registry, id, call.query.get('format'))
      return call.flag('fetchMaxId') ? { ...shown, maxId: call.registry.store.lastId } : shown
    },
  },
  {
    method: 'GET',
    path: '/schemas/ids/:id/schema',
    handle: (call) => new RawText(textOf(call.registry, wanted(call), call.query.get('format'))),
  },
  {
    method: 'GET',
    path: '/schemas/ids/:id/subjects',
    handle: (call) => call.page([...new Set(versionsOf(call, wanted(call)).map(({ subject }) => subject))]),
  },
  {
    method: 'GET',
    path: '/schemas/ids/:id/versions',
    handle: (call) => call.page(versionsOf(call, wanted(call)).map(({ subject, version }) => ({ subject, version }))),
  },
]

/** The id in the path, of a schema that stands under some subject that the caller may read. */
function wanted(call: Call): number {
  const written = call.parameter('id')
  const id = Number(written)
  if (!/^\d{1,10}$/.test(written) || call.registry.store.schema(id) === undefined) throw schemaNotFound(id)
  if (!call.registry.store.versionsOf(id).some(({ subject }) => call.caller.mayRead(subject)))
    throw denied(call.caller.principal.user, 'Read', `Schema: ${id}`)
  return id
}

function versionsOf(call: Call, id: number): Version[] {
  const subject = unqualified(call.query.get('subject') ?? '')
  return call.registry.store
    .versionsOf(id)
    .sort((a, b) => (a.subject < b.subject ? -1 : a.subject > b.subject ? 1 : a.version - b.version))
    .filter((each) => !each.deleted || call.flag('deleted'))
    .filter((each) => call.caller.mayRead(each.subject) && (subject === '' || each.subject === subject))
}
