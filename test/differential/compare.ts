/** Two answers side by side, field by field. Lists whose order means nothing are compared by what names their elements. */

export interface Difference {
  /** For example `topics[orders].partitions[0].errorCode`. */
  readonly path: string
  readonly theirs: unknown
  readonly ours: unknown
}

/** What an element of a list is called, where it has one of these; else its place in the list. */
const names = [
  'name',
  'topicName',
  'topic',
  'apiKey',
  'partitionIndex',
  'partitionId',
  'brokerId',
  'nodeId',
  'resourceName',
  'key',
  'groupId',
  'transactionalId',
  'user',
  'feature',
  'entityType',
] as const

export function differences(theirs: unknown, ours: unknown): Difference[] {
  const [left, right] = [new Map<string, unknown>(), new Map<string, unknown>()]
  flatten('', theirs, left)
  flatten('', ours, right)
  const found: Difference[] = []
  for (const path of new Set([...left.keys(), ...right.keys()])) {
    const [a, b] = [left.get(path), right.get(path)]
    if (a !== b) found.push({ path, theirs: a, ours: b })
  }
  return found
}

function flatten(path: string, value: unknown, into: Map<string, unknown>): void {
  if (Array.isArray(value)) {
    into.set(`${path}.length`, value.length)
    for (const [index, element] of value.entries()) flatten(`${path}[${nameOf(element) ?? index}]`, element, into)
  } else if (Buffer.isBuffer(value)) {
    into.set(path, value.toString('hex'))
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, field] of Object.entries(value)) flatten(path === '' ? key : `${path}.${key}`, field, into)
  } else {
    into.set(path, value)
  }
}

function nameOf(element: unknown): string | undefined {
  if (typeof element !== 'object' || element === null) return undefined
  const fields = element as Record<string, unknown> // any object can be looked at so
  const name = names.find((each) => typeof fields[each] === 'string' || typeof fields[each] === 'number')
  return name === undefined ? undefined : String(fields[name])
}
