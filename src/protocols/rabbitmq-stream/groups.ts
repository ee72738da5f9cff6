// Single active consumers: those of one name on one stream are a group, and one of them gets the records.
//
//   waiting  --chosen-->  active  --another is chosen-->  stepping down  --it answered, or left-->  waiting
//
// A stream on its own chooses who came first and keeps it. Streams of a super stream are shared out: the one at index i belongs to consumer i,
// counted around, so a consumer that comes or goes may move some of them. Who is told to step down answers when it has stored how far
// it came, and only then the next is told to begin.

/** A subscription as its group sees it. */
export interface Member {
  /** Tells the client. */
  notify(active: boolean): void
}

interface Group {
  /** -1: not part of a super stream. */
  readonly index: number
  readonly members: Member[]
  active: Member | null
  steppingDown: boolean
}

export class Groups {
  readonly #groups = new Map<string, Group>()

  /** False when the group's others say that the stream stands elsewhere in its super stream. */
  join(key: string, index: number, member: Member): boolean {
    const group = this.#groups.get(key) ?? { index, members: [], active: null, steppingDown: false }
    if (group.index !== index) return false
    this.#groups.set(key, group)
    group.members.push(member)
    this.#evaluate(group)
    return true
  }

  leave(key: string, member: Member): void {
    const group = this.#groups.get(key)
    const at = group?.members.indexOf(member) ?? -1
    if (group === undefined || at < 0) return
    group.members.splice(at, 1)
    if (group.members.length === 0) {
      this.#groups.delete(key)
      return
    }
    if (group.active === member) {
      group.active = null
      group.steppingDown = false
    }
    this.#evaluate(group)
  }

  /** The member answered that it stopped: the next may begin. */
  steppedDown(key: string, member: Member): void {
    const group = this.#groups.get(key)
    if (group === undefined || group.active !== member || !group.steppingDown) return
    group.active = null
    group.steppingDown = false
    this.#evaluate(group)
  }

  isActive(key: string, member: Member): boolean {
    const group = this.#groups.get(key)
    return group?.active === member && !group.steppingDown
  }

  #evaluate(group: Group): void {
    const chosen = group.index < 0 ? (group.active ?? group.members[0]) : group.members[group.index % group.members.length]
    if (chosen === undefined || group.active === chosen || group.steppingDown) return
    if (group.active === null) {
      group.active = chosen
      chosen.notify(true)
    } else {
      group.steppingDown = true
      group.active.notify(false)
    }
  }
}
