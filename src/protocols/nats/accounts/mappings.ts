/** What an account's token makes of the subjects that its users publish to: another one, or one of several by their weights. */
import { CoreError } from '../../../broker/face.ts'
import { isValidSubject, matchesSubject } from '../subjects.ts'
import { number, record, unknownClaim } from './claims.ts'
import { subjectMaker } from './subject-functions.ts'

/** The subject that is published to in place of this one; null: it is lost, as the weights of all are less than 100 and its own is one of them. */
export type Mapping = (subject: string) => string | null

interface Choice {
  /** The weights of those before it and its own. */
  readonly upTo: number
  readonly make: (subject: string) => string
}

const entryClaims: ReadonlySet<string> = new Set(['subject', 'weight', 'cluster'])

/** null: it says none. Throws Invalid for what cannot be held. */
export function mappingOf(claims: unknown, account: string): Mapping | null {
  const mappings = Object.entries(record(claims)).map(([source, entries]) => {
    const refuse = (why: string): never => {
      throw new CoreError('Invalid', `NATS account ${account}: mapping of "${source}": ${why}`)
    }
    return { source, choices: choicesOf(source, entries, refuse) }
  })
  if (mappings.length === 0) return null
  return (subject) => {
    const found = mappings.find(({ source }) => matchesSubject(source, subject))
    return found === undefined ? subject : choose(found.choices, subject)
  }
}

function choose(choices: readonly Choice[], subject: string): string | null {
  const drawn = choices[0]?.upTo === 100 ? 0 : Math.floor(Math.random() * 100)
  return choices.find(({ upTo }) => drawn < upTo)?.make(subject) ?? null
}

function choicesOf(source: string, entries: unknown, refuse: (why: string) => never): Choice[] {
  if (!isValidSubject(source)) refuse('it is no subject')
  if (!Array.isArray(entries)) return refuse('it is no list')
  const choices: Choice[] = []
  const seen = new Set<string>()
  let total = 0
  const add = (dest: string, weight: number): void => {
    const make = subjectMaker(source, dest) ?? refuse(`it cannot become "${dest}"`)
    total += weight
    choices.push({ upTo: total, make })
  }
  for (const entry of entries.map(record)) {
    const dest = String(entry['subject'])
    const weight = number(entry['weight']) || 100
    const unknown = unknownClaim(entry, entryClaims)
    if (unknown !== undefined) refuse(`"${unknown}" cannot be held here`)
    if ((entry['cluster'] ?? '') !== '') refuse('there are no clusters here')
    if (!Number.isInteger(weight) || weight < 0 || weight > 100 || total + weight > 100) refuse('its weights go up to 100')
    if (seen.has(dest)) refuse(`"${dest}" is in it twice`)
    seen.add(dest)
    add(dest, weight)
  }
  let star = 0
  const itself = source.replace(/(?<=^|\.)\*(?=\.|$)/g, () => `$${++star}`)
  // What no weight is given to stays as it is, unless that is given one.
  if (total < 100 && !seen.has(source)) add(itself, 100 - total)
  return choices
}
