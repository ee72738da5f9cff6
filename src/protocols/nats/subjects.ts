/** NATS subjects and the broker's addresses: the same words joined with `.`, wildcards written otherwise. */

/** Whether it is a subject to subscribe to: no empty word, no white space, `>` at the end alone. */
export function isValidSubject(subject: string): boolean {
  const words = subject.split('.')
  return words.every((word, index) => word !== '' && !/\s/.test(word) && (word !== '>' || index === words.length - 1))
}

/** Whether it may be published to: a valid subject without wildcards. */
export function isLiteral(subject: string): boolean {
  return isValidSubject(subject) && !subject.split('.').some((word) => word === '*' || word === '>')
}

/** `>` is one word or more; `#` of the broker also none. */
export function patternOf(subject: string): string {
  return subject === '>' || subject.endsWith('.>') ? `${subject.slice(0, -1)}*.#` : subject
}

/** A word `#` is only a word in NATS but a wildcard of the broker, so that it cannot be subscribed to. */
export function hasForeignWildcard(subject: string): boolean {
  return subject.split('.').includes('#')
}

export function matchesSubject(pattern: string, subject: string): boolean {
  if (pattern === subject) return true
  const wanted = pattern.split('.')
  const words = subject.split('.')
  for (const [index, word] of wanted.entries()) {
    if (word === '>') return words.length > index
    if (index >= words.length || (word !== '*' && word !== words[index])) return false
  }
  return wanted.length === words.length
}

/** Whether some subject matches both. */
export function collide(a: string, b: string): boolean {
  const [left, right] = [a.split('.'), b.split('.')]
  for (let at = 0; ; at++) {
    const [one, other] = [left[at], right[at]]
    if (one === undefined || other === undefined) return one === other
    if (one === '>' || other === '>') return true
    if (one !== '*' && other !== '*' && one !== other) return false
  }
}

/** Whether `outer` matches all that `inner` does. */
export function isSubset(inner: string, outer: string): boolean {
  const [narrow, wide] = [inner.split('.'), outer.split('.')]
  for (let at = 0; ; at++) {
    const [one, other] = [narrow[at], wide[at]]
    if (other === '>') return one !== undefined
    if (one === undefined || other === undefined) return one === other
    if (one === '>' || (other !== '*' && one !== other)) return false
  }
}
