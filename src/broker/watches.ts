/** Who wants to hear of anything new in a topic, by its name: it need not exist yet. */
import type { Topic } from '../core/topic.ts'
import type { Namespace } from './namespace.ts'

export class Watches {
  readonly #byNamespace = new Map<string, Map<string, Set<() => void>>>()

  add({ name: namespace }: Namespace, topic: string, wake: () => void): () => void {
    const names = this.#byNamespace.get(namespace) ?? new Map<string, Set<() => void>>()
    this.#byNamespace.set(namespace, names)
    const watching = names.get(topic) ?? new Set()
    names.set(topic, watching)
    watching.add(wake)
    return () => {
      watching.delete(wake)
      if (watching.size === 0 && names.get(topic) === watching) names.delete(topic)
      if (names.size === 0 && this.#byNamespace.get(namespace) === names) this.#byNamespace.delete(namespace)
    }
  }

  wake({ namespace, name }: Topic): void {
    if (this.#byNamespace.size === 0) return
    const watching = this.#byNamespace.get(namespace)?.get(name)
    if (watching !== undefined) for (const wake of [...watching]) wake()
  }
}
