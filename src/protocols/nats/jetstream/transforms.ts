/** Subjects turned into others: `*` of the source stands in the destination as `$1` or `{{wildcard(1)}}`, its `>` as `>`. */
import { isValidSubject } from '../subjects.ts'

export interface SubjectTransform {
  readonly src: string
  readonly dest: string
}

/** Maps a subject; null when the source does not fit it. */
export type Mapping = (subject: string) => string | null

/** null when source and destination do not go together, or use what is not known here. */
export function compileTransform({ src, dest }: SubjectTransform): Mapping | null {
  const source = src === '' ? '>' : src
  const target = dest === '' ? source : dest
  if (!isValidSubject(source)) return null
  const wanted = source.split('.')
  const stars = wanted.filter((word) => word === '*').length
  const open = wanted.at(-1) === '>'
  let nextStar = 0
  const parts: (string | number)[] = []
  for (const word of (open && target.endsWith('>') ? target.slice(0, -1).replace(/\.$/, '') : target).split('.')) {
    const place = /^(?:\$(\d{1,2})|\{\{\s*[Ww]ildcard\(\s*(\d{1,2})\s*\)\s*\}\})$/.exec(word)
    if (place !== null) {
      const star = Number(place[1] ?? place[2])
      if (star < 1 || star > stars) return null
      parts.push(star - 1)
    } else if (word === '*') {
      if (nextStar >= stars) return null
      parts.push(nextStar++)
    } else if (/[{}>\s]/.test(word)) return null
    else if (word !== '') parts.push(word)
  }
  const carriesRest = open && target.endsWith('>')
  if (parts.length === 0 && !carriesRest) return null
  if (target.endsWith('>') && !open) return null
  return (subject) => {
    const words = subject.split('.')
    if (open ? words.length < wanted.length : words.length !== wanted.length) return null
    const found: string[] = []
    for (const [at, word] of wanted.entries()) {
      if (word === '>') break
      const own = words[at] ?? ''
      if (word === '*') found.push(own)
      else if (word !== own) return null
    }
    const mapped = parts.map((part) => (typeof part === 'number' ? (found[part] ?? '') : part))
    return [...mapped, ...(carriesRest ? words.slice(wanted.length - 1) : [])].join('.')
  }
}
