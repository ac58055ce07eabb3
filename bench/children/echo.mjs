// `echo.mjs <path> <question bytes> <answer bytes>`: answers each question of that size at a socket, until it is killed.
import { createServer } from 'node:net';

const [path, questionBytes, answerBytes] = process.argv.slice(2);
const answer = Buffer.alloc(Number(answerBytes));
const server = createServer((socket) => {
  let bytes = 0;
  socket.on('data', (piece) => {
    bytes += piece.length;
    for (; bytes >= Number(questionBytes); bytes -= Number(questionBytes)) socket.write(answer);
  });
});
server.listen(path, () => process.send('ready'));
