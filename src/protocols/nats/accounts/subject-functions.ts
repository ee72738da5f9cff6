/** Subjects made of others word by word, by nats-server's functions: `$1`, `{{wildcard(1)}}`, `{{partition(3,1,2)}}`, `{{split(1,-)}}` and their like. */
import { isValidSubject } from '../subjects.ts'

/** Words of a source that a function takes, and what else it was given. */
type Make = (words: readonly string[], number: number, text: string) => string

interface Called {
  readonly make: Make
  /** Places of the words in the source. */
  readonly places: readonly number[]
  readonly number: number
  readonly text: string
}

/** Of one wildcard and a number of characters; a word that is not longer stays whole. */
const cut =
  (parts: (word: string, size: number) => readonly string[]): Make =>
  ([word = ''], size) =>
    size > 0 && size < word.length ? parts(word, size).join('.') : word

const slices = (word: string, size: number, first: number): string[] => {
  const found = first > 0 ? [word.slice(0, first)] : []
  for (let at = first; at < word.length; at += size) found.push(word.slice(at, at + size))
  return found
}

const withSize: Readonly<Record<string, Make>> = {
  splitfromleft: cut((word, size) => [word.slice(0, size), word.slice(size)]),
  splitfromright: cut((word, size) => [word.slice(0, -size), word.slice(-size)]),
  slicefromleft: cut((word, size) => slices(word, size, 0)),
  slicefromright: cut((word, size) => slices(word, size, word.length % size)),
  left: cut((word, size) => [word.slice(0, size)]),
  right: cut((word, size) => [word.slice(-size)]),
}
const split: Make = ([word = ''], _, by) =>
  word
    .split(by)
    .filter((part) => part !== '')
    .join('.')
const partition: Make = (words, count) => (count === 0 ? '0' : String(fnv1a(words.join('')) % count))
const random: Make = (_, most) => (most === 0 ? '0' : String(Math.floor(Math.random() * most)))

function fnv1a(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}

/** What makes the subject `dest` says of subjects that `source` matches; null when the two do not go together. */
export function subjectMaker(source: string, dest: string): ((subject: string) => string) | null {
  if (!isValidSubject(source) || dest.split('.').some((word) => word === '' || word === '*')) return null
  const from = source.split('.')
  const to = dest.split('.')
  const isOpen = from.at(-1) === '>'
  if (to.indexOf('>') >= 0 !== isOpen || (isOpen && to.indexOf('>') !== to.length - 1)) return null
  if (isOpen) to.pop()
  const stars = [...from.keys()].filter((place) => from[place] === '*')
  const made: (string | Called)[] = []
  for (const word of to) {
    const called = calledBy(word, stars)
    if (called === null) return null
    made.push(called)
  }
  return (subject) => {
    const words = subject.split('.')
    const parts = made.map((each) => {
      if (typeof each === 'string') return each
      const { make, places, number, text } = each
      return make(places.length === 0 && make === partition ? [subject] : places.map((place) => words[place] ?? ''), number, text)
    })
    return [...parts, ...(isOpen ? words.slice(from.length - 1) : [])].join('.')
  }
}

const call = /^\{\{\s*(\w+)\s*\((.*)\)\s*\}\}$/

/** A word as it stands, or the function that it calls; null for what cannot be called so. */
function calledBy(word: string, stars: readonly number[]): string | Called | null {
  const older = /^\$(\d{1,2})$/.exec(word)?.[1]
  const isCall = word.length > 4 && word.startsWith('{{') && word.endsWith('}}')
  if (older === undefined && !isCall) return /\s/.test(word) ? null : word
  const [, name = '', given = ''] = older === undefined ? (call.exec(word) ?? []) : ['', 'wildcard', older]
  const args = given.split(/,\s*/)
  const numbers = args.map((each) => (/^\s*\d{1,9}\s*$/.test(each) ? Number(each) : Number.NaN))
  const [first = Number.NaN, second = Number.NaN] = numbers
  const use = (make: Make, wildcards: readonly number[], number = 0, text = ''): Called | null => {
    const places = wildcards.map((each) => stars[each - 1] ?? -1)
    return places.includes(-1) || Number.isNaN(number) ? null : { make, places, number, text }
  }
  const kind = name.toLowerCase()
  if (kind === 'wildcard') return args.length === 1 ? use(([only = '']) => only, [first]) : null
  if (kind === 'partition') return use(partition, numbers.slice(1), first)
  if (kind === 'random') return args.length === 1 ? use(random, [], first) : null
  if (kind === 'split') return args.length === 2 && !/[ .]/.test(args[1] ?? '') ? use(split, [first], 0, args[1]) : null
  const make = withSize[kind]
  return make !== undefined && args.length === 2 ? use(make, [first], second) : null
}
