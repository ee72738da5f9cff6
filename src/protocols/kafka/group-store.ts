// Groups as rows of the broker's table `kafka.groups`: a classic group is one row, by its name.
import type { Rows } from '../../broker/face.ts'
import type { GroupSnapshot } from './group.ts'
import type { MemberState } from './group-member.ts'

export interface StoredClassicGroup extends GroupSnapshot {
  readonly kind: 'classic'
  readonly emptySince: number
}

export class GroupStore {
  readonly #rows: Rows

  constructor(rows: Rows) {
    this.#rows = rows
  }

  /** All classic groups, for the start. */
  *classicGroups(): Generator<[string, StoredClassicGroup]> {
    for (const [name, text] of this.#rows.entries()) {
      const row = JSON.parse(text, revive) as { kind: string } // our own rows
      if (row.kind === 'classic') yield [name, row as StoredClassicGroup]
    }
  }

  putClassic(name: string, group: StoredClassicGroup): void {
    this.#rows.put(name, JSON.stringify(group, replace))
  }

  delete(name: string): void {
    this.#rows.delete(name)
  }

  durable(done: (error: Error | null) => void): void {
    this.#rows.durable().then(
      () => done(null),
      (cause: Error) => done(cause),
    )
  }
}

const bytesFields: ReadonlySet<string> = new Set<keyof MemberState | 'metadata'>(['metadata', 'assignment'])

// JSON turns a Buffer into `{ type, data }` before the replacer sees it.
function replace(key: string, value: unknown): unknown {
  if (!bytesFields.has(key)) return value
  return Buffer.from((value as { data: number[] }).data).toString('base64')
}

function revive(key: string, value: unknown): unknown {
  return bytesFields.has(key) && typeof value === 'string' ? Buffer.from(value, 'base64') : value
}
