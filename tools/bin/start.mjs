// `npm start`: boots the embedded root disk. Arguments go to `loanword boot`.
import { loanword } from "./loanword.mjs";

await loanword(["boot", ...process.argv.slice(2)]);
