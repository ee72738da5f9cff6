/** Subjects turned into others: `*` of the source stands in the destination as `$1` or `{{wildcard(1)}}`, its `>` as `>`. */
import { type Renaming, renamed } from '../../../lib/renaming.ts'
import { isValidSubject, matchesSubject, patternOf } from '../subjects.ts'

export interface SubjectTransform {
  readonly src: string
  readonly dest: string
}

/** Maps a subject; null when the source does not fit it. */
export type Mapping = (subject: string) => string | null

/** null when source and destination do not go together, or use what is not known here. */
export function compileTransform(transform: SubjectTransform): Mapping | null {
  const renaming = renamingOf(transform)
  const source = transform.src === '' ? '>' : transform.src
  if (renaming === null) return null
  return (subject) => (matchesSubject(source, subject) ? renamed(renaming, subject) : null)
}

/** The same in the broker's words. */
export function renamingOf({ src, dest }: SubjectTransform): Renaming | null {
  const source = src === '' ? '>' : src
  const target = dest === '' ? source : dest
  if (!isValidSubject(source) || target.split('.').includes('')) return null
  const from = source.split('.')
  const stars = [...from.keys()].filter((place) => from[place] === '*')
  const to = target.split('.')
  const open = from.at(-1) === '>'
  if (open !== (to.at(-1) === '>')) return null
  if (open) to.pop()
  const words: (string | number)[] = []
  for (const word of to) {
    const placed = /^(?:\$(\d{1,2})|\{\{\s*[Ww]ildcard\(\s*(\d{1,2})\s*\)\s*\}\})$/.exec(word)
    if (placed !== null) {
      const star = stars[Number(placed[1] ?? placed[2]) - 1]
      if (star === undefined) return null
      words.push(star)
    } else if (word === '*' && dest === '') words.push(words.length)
    else if (word === '*' || /[{}>\s]/.test(word)) return null
    else words.push(word)
  }
  return { pattern: patternOf(source), words, restFrom: open ? from.length - 1 : -1 }
}
