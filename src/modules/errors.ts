/** Thrown by a module when the target gave no facts: it refused, closed, or said that it cannot serve. */
export class Dead extends Error {
  override name = 'Dead'
}

/** Thrown by a module when this host could not ask: nothing was learned about the target. */
export class Unknown extends Error {
  override name = 'Unknown'
}
