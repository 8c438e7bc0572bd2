import { expect, it } from 'vitest';
import { EventReader } from '../src/core/sse';

it('puts messages together from whatever pieces they come in', () => {
  const text = ': hello\n\nevent: service\ndata: {"a":1}\n\nid: 3\ndata: one\ndata: two\n\n';
  for (let size = 1; size <= text.length; size += 1) {
    const reader = new EventReader();
    const messages = [];
    for (let at = 0; at < text.length; at += size) messages.push(...reader.push(text.slice(at, at + size)));
    expect(messages).toEqual([
      { kind: 'service', data: '{"a":1}' },
      { kind: 'message', data: 'one\ntwo' },
    ]);
  }
});
