/** Subjects and their versions: list, look at, look up, register, delete. */
import type { Route } from '../route.ts'
import { RawText } from '../route.ts'
import { shownVersion, textOf } from '../shown.ts'
import type { Version } from '../store.ts'

export const subjectRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/subjects',
    handle: (call) => {
      const { registry, caller, query } = call
      const prefix = subjectPrefix(query.get('subjectPrefix'))
      const only = call.flag('deletedOnly')
      const shown = (subject: string): boolean => {
        const alive = registry.latest(subject) !== undefined
        return only ? !alive : alive || call.flag('deleted')
      }
      return call.page(registry.store.subjects().filter((each) => each.startsWith(prefix) && shown(each) && caller.mayRead(each)))
    },
  },
  {
    method: 'POST',
    path: '/subjects/:subject',
    handle: async (call) => {
      const { registry, caller, query } = call
      const subject = call.subject
      caller.toRead(subject)
      const found = registry.lookUp(subject, await call.submission(), call.flag('normalize'), call.flag('deleted'))
      return shownVersion(registry, found, query.get('format'))
    },
  },
  {
    method: 'DELETE',
    path: '/subjects/:subject',
    handle: (call) => {
      call.caller.toChange(call.subject)
      return call.registry.deleteSubject(call.subject, call.flag('permanent'))
    },
  },
  {
    method: 'GET',
    path: '/subjects/:subject/versions',
    handle: (call) => {
      const subject = call.subject
      call.caller.toRead(subject)
      const only = call.flag('deletedOnly')
      const versions = call.registry.versions(subject, call.flag('deleted') || only).filter(({ deleted }) => !only || deleted)
      return call.page(versions.map(({ version }) => version))
    },
  },
  {
    method: 'POST',
    path: '/subjects/:subject/versions',
    handle: async (call) => {
      const subject = call.subject
      call.caller.toRegister(subject)
      const { id, version } = await call.registry.register(subject, await call.submission(), call.flag('normalize'))
      return { id, version }
    },
  },
  {
    method: 'GET',
    path: '/subjects/:subject/versions/:version',
    handle: (call) => shownVersion(call.registry, wanted(call), call.query.get('format')),
  },
  {
    method: 'GET',
    path: '/subjects/:subject/versions/:version/schema',
    handle: (call) => new RawText(textOf(call.registry, wanted(call).id, call.query.get('format'))),
  },
  {
    method: 'GET',
    path: '/subjects/:subject/versions/:version/referencedby',
    handle: (call) => call.page(call.registry.referencedBy(wanted(call))),
  },
  {
    method: 'DELETE',
    path: '/subjects/:subject/versions/:version',
    handle: (call) => {
      const subject = call.subject
      call.caller.toChange(subject)
      return call.registry.deleteVersion(subject, call.parameter('version'), call.flag('permanent'))
    },
  },
]

function wanted(call: Parameters<Route['handle']>[0]): Version {
  const subject = call.subject
  call.caller.toRead(subject)
  return call.registry.version(subject, call.parameter('version'), call.flag('deleted'))
}

/** `:*:` and `:.:` stand for all contexts and the one there is. */
export function subjectPrefix(written: string | null): string {
  return (written ?? '').replace(/^:(\*|\.):/, '')
}
