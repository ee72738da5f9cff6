/** Whether a schema could become the next version, without registering it. */
import type { Call, Route } from '../route.ts'
import type { Version } from '../store.ts'

export const compatibilityRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/compatibility/subjects/:subject/versions/:version',
    handle: (call) => judge(call, (subject) => [call.registry.version(subject, call.parameter('version'))]),
  },
  {
    method: 'POST',
    path: '/compatibility/subjects/:subject/versions',
    handle: (call) =>
      judge(call, (subject) => {
        const versions = call.registry.store.versions(subject).filter(({ deleted }) => !deleted)
        return call.registry.compatibility(subject).endsWith('_TRANSITIVE') ? versions.toReversed() : versions.slice(-1)
      }),
  },
]

async function judge(call: Call, against: (subject: string) => readonly Version[]): Promise<object> {
  const { registry, caller } = call
  const subject = call.subject
  caller.toRead(subject)
  const schema = registry.candidate(await call.submission())
  const messages = registry.compare(subject, schema, against(subject))
  return { is_compatible: messages.length === 0, ...(call.flag('verbose') ? { messages } : {}) }
}
