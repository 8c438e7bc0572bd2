/** Reads server-sent events out of text that comes in pieces. */

export interface Message {
  kind: string;
  data: string;
}

export class EventReader {
  private text = '';

  /** Whole messages in what came so far; the rest is kept. Comments are no messages. */
  push(piece: string): Message[] {
    this.text += piece;
    const messages: Message[] = [];
    for (let end = this.text.indexOf('\n\n'); end >= 0; end = this.text.indexOf('\n\n')) {
      const message = parse(this.text.slice(0, end));
      this.text = this.text.slice(end + 2);
      if (message) messages.push(message);
    }
    return messages;
  }
}

function parse(block: string): Message | null {
  let kind = 'message';
  const data: string[] = [];
  for (const line of block.split('\n')) {
    if (line.startsWith('event:')) kind = line.slice(6).trim();
    if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''));
  }
  return data.length > 0 ? { kind, data: data.join('\n') } : null;
}
