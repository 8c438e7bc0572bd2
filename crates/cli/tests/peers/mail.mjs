// A mail server. Prints one JSON line a mail, as a parser of others reads it.
//
//   node mail.mjs PORT                          plain, nobody logs in
//   node mail.mjs PORT KEY CERT USER PASSWORD   STARTTLS, then a login
import fs from 'node:fs';
import { simpleParser } from 'mailparser';
import { SMTPServer } from 'smtp-server';

const [port, key, cert, user, password] = process.argv.slice(2);
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const secured = key !== undefined;
const server = new SMTPServer({
  logger: false,
  disableReverseLookup: true,
  ...(secured
    ? { key: fs.readFileSync(key), cert: fs.readFileSync(cert) }
    : { hideSTARTTLS: true, authOptional: true, disabledCommands: ['AUTH'] }),
  onAuth(auth, session, done) {
    if (session.secure && auth.username === user && auth.password === password) {
      done(null, { user: auth.username });
    } else {
      done(new Error('wrong name or password'));
    }
  },
  onData(stream, session, done) {
    simpleParser(stream).then((mail) => {
      const header = (name) => {
        const found = mail.headerLines.find((line) => line.key === name);
        return found?.line.replace(/^[^:]*:\s*/, '').replace(/\r?\n\s+/g, ' ');
      };
      tell({
        secure: session.secure,
        user: session.user ?? null,
        from: mail.from?.text,
        to: mail.to?.text,
        envelope: session.envelope.rcptTo.map((to) => to.address),
        subject: mail.subject,
        message_id: mail.messageId,
        list_id: header('list-id'),
        auto_submitted: header('auto-submitted'),
        references: header('references'),
        text: mail.text,
        html: mail.html,
      });
      done();
    }, done);
  },
});

server.on('error', (error) => process.stderr.write(`${error.message}\n`));
server.listen(Number(port), '127.0.0.1', () => tell({ ready: server.server.address().port }));
