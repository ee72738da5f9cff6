/** What a mirror, or a stream with sources, has to do with the streams that it copies, as far as they are there. */
import { collide } from '../subjects.ts'
import { refusal } from './errors.ts'
import type { StreamConfig } from './stream-config.ts'

type Others = (name: string) => StreamConfig | undefined

/** The configuration with what comes from its origin. Throws {@link ApiError}. */
export function withOrigins(config: StreamConfig, others: Others, pedantic: boolean): StreamConfig {
  const { mirror, sources, max_msg_size: size } = config
  for (const { name } of mirror === null ? sources : [mirror]) {
    const theirs = others(name)?.max_msg_size ?? -1
    if (size > 0 && theirs > 0 && size < theirs) throw refusal(mirror === null ? 'sourceMessageSize' : 'mirrorMessageSize')
  }
  const direct = mirror === null ? undefined : others(mirror.name)?.allow_direct
  const inherits = direct !== undefined && direct !== config.mirror_direct
  if (inherits && pedantic) throw refusal('pedantic', 'origin stream has direct get set, mirror has it disabled')
  refuseCycles(config, others)
  return inherits ? { ...config, mirror_direct: direct } : config
}

/** What comes back to where it was would be copied for ever. */
function refuseCycles(config: StreamConfig, others: Others): void {
  const seen = new Set<string>()
  const left = [config]
  for (const { name, subjects, sources, mirror } of left) {
    seen.add(name)
    const follow = (origin: string, comesBack: boolean): void => {
      const next = others(origin)
      if (!seen.has(origin)) left.push(...(next === undefined ? [] : [next]))
      else if (comesBack) throw refusal('streamInvalidConfig', 'detected cycle')
    }
    for (const { name: origin, filter_subject: filter } of sources)
      follow(origin, filter === '' || subjects.some((subject) => collide(subject, filter)))
    if (mirror !== null) follow(mirror.name, true)
  }
}
