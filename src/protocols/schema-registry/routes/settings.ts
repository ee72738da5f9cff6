/** Compatibility levels and modes, of all subjects and of single ones. */
import {
  compatibilityNotConfigured,
  invalidCompatibility,
  invalidMode,
  modeNotConfigured,
  subjectNotFound,
  unprocessable,
} from '../errors.ts'
import { compatibilityLevels, modes } from '../registry.ts'
import { type Call, type Route, refuseUnknown } from '../route.ts'
import { globalScope } from '../store.ts'

export const settingRoutes: readonly Route[] = ['', '/:subject'].flatMap((end): Route[] => [
  { method: 'GET', path: `/config${end}`, handle: (call) => config(call) },
  { method: 'PUT', path: `/config${end}`, handle: putConfig },
  {
    method: 'DELETE',
    path: `/config${end}`,
    handle: async (call) => {
      const scope = scopeToChange(call)
      const { store } = call.registry
      const set = store.setting('compatibility', scope) ?? store.setting('normalize', scope)
      if (set === undefined && scope !== globalScope) throw subjectNotFound(scope)
      const before = config(call, true)
      await store.set('compatibility', scope, null)
      await store.set('normalize', scope, null)
      return before
    },
  },
  {
    method: 'GET',
    path: `/mode${end}`,
    handle: (call) => {
      const scope = scopeToRead(call)
      if (scope !== globalScope && call.registry.store.setting('mode', scope) === undefined && !call.flag('defaultToGlobal'))
        throw modeNotConfigured(scope)
      return { mode: call.registry.mode(scope) }
    },
  },
  {
    method: 'PUT',
    path: `/mode${end}`,
    handle: async (call) => {
      const scope = scopeToChange(call)
      const body = await call.body()
      refuseUnknown(body, ['mode'])
      const mode = modes.find((each) => each === String(body['mode']).toUpperCase())
      if (mode === undefined) throw invalidMode()
      await call.registry.setMode(scope, mode, call.flag('force'))
      return { mode }
    },
  },
  {
    method: 'DELETE',
    path: `/mode${end}`,
    handle: async (call) => {
      const scope = scopeToChange(call)
      const { store } = call.registry
      const before = store.setting('mode', scope)
      if (before === undefined && scope !== globalScope) throw subjectNotFound(scope)
      await store.set('mode', scope, null)
      return { mode: before ?? 'READWRITE' }
    },
  },
])

function config(call: Call, orGlobal = call.flag('defaultToGlobal')): object {
  const scope = scopeToRead(call)
  const { registry } = call
  const own = registry.store.setting('compatibility', scope)
  const normalize = registry.store.setting('normalize', scope)
  if (scope !== globalScope && own === undefined && normalize === undefined && !orGlobal) throw compatibilityNotConfigured(scope)
  return {
    compatibilityLevel: registry.compatibility(scope),
    ...(normalize === undefined ? {} : { normalize: normalize === 'true' }),
  }
}

async function putConfig(call: Call): Promise<object> {
  const scope = scopeToChange(call)
  const body = await call.body()
  refuseUnknown(body, [
    'compatibility',
    'normalize',
    'alias',
    'compatibilityGroup',
    'defaultMetadata',
    'overrideMetadata',
    'defaultRuleSet',
    'overrideRuleSet',
    'validateFields',
    'compatibilityPolicy',
  ])
  const { compatibility = null, normalize = null, ...others } = body
  const unsupported = Object.keys(others).find((name) => others[name] !== null)
  if (unsupported !== undefined) throw unprocessable(`${unsupported} is not supported by this registry`)
  if (compatibility !== null) {
    const level = compatibilityLevels.find((each) => each === String(compatibility).toUpperCase())
    if (level === undefined) throw invalidCompatibility()
    await call.registry.store.set('compatibility', scope, level)
  }
  if (normalize !== null) {
    if (typeof normalize !== 'boolean') throw unprocessable('normalize must be true or false')
    await call.registry.store.set('normalize', scope, String(normalize))
  }
  return body
}

function scopeToRead(call: Call): string {
  const subject = call.subject
  if (subject !== '') call.caller.toRead(subject)
  return subject
}

function scopeToChange(call: Call): string {
  const subject = call.subject
  if (subject === '') call.caller.toChangeAll()
  else call.caller.toChange(subject)
  return subject
}
