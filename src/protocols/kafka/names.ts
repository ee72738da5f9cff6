/** Kafka's rule for a new topic's name. Topics of other protocols may be named otherwise and are served under their names. */
export function isTopicName(name: string): boolean {
  return name.length <= 249 && name !== '.' && name !== '..' && /^[a-zA-Z0-9._-]+$/.test(name)
}
