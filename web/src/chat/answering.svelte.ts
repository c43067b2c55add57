// One answer, from the request to what is kept of it. It is kept when it begins, every few seconds
// while it comes, and when it ends; what the server did not take because it was away, it gets when
// it is back. Answers go on while other conversations and pages are looked at.
import {streamAnswer} from "../api/answer";
import {changeMessage} from "../api/conversations";
import {ApiError, Unreachable} from "../api/http";
import type {ChatSettings, Message, MessageMeta, Model} from "../api/types";
import {t} from "../i18n/text.svelte";
import {connection} from "../lib/connection.svelte";
import {notices} from "../lib/notices.svelte";
import {problemText} from "../lib/problem";
import {fitted} from "./fitting";
import {LiveAnswer} from "./live_answer.svelte";
import {otherWindows} from "./other_windows.svelte";
import {answerRequest} from "./prompt";

const KEEP_SECONDS = 4;
const TIGHTER = [1, 0.6, 0.35, 0.15]; // when the server counts more tokens than were expected
const KEEPALIVE_CHARACTERS = 20_000; // browsers limit what they still send for a page that is gone

export interface Asked {
    conversation: string;
    message: Message; // the answer, empty as yet
    path: Message[]; // what it answers
    settings: ChatSettings; // with the model and adapter that answer
    model: Model;
}

// The server has more to say about it than that it is too long for the model's context.
const isTooLong = (reason: unknown): boolean => reason instanceof ApiError && reason.status === 400 && /\bcontext\b/.test(reason.message);

export class Answering {
    readonly live: LiveAnswer;
    readonly ended: Promise<Message>; // the answer as it is kept; never rejects
    readonly #abort = new AbortController();
    #leftOut = 0;

    constructor(readonly asked: Asked, onDraw: () => void) {
        this.live = new LiveAnswer(asked.message.id, onDraw);
        this.ended = this.#run();
    }

    // What there is of it stays.
    stop(why: "stopped" | "interrupted" = "stopped"): void {
        this.#abort.abort(why);
    }

    async #run(): Promise<Message> {
        const {message} = this.asked, failed: MessageMeta = {};
        let keeping: Promise<unknown> = Promise.resolve();
        try {
            let kept = performance.now();
            for await (const event of this.#events()) {
                this.live.take(event);
                if (performance.now() - kept < KEEP_SECONDS * 1000) continue;
                kept = performance.now();
                keeping = this.#keep(message.meta ?? {}).catch(() => undefined);
            }
        } catch (reason) {
            if (this.#abort.signal.aborted) failed.finish = String(this.#abort.signal.reason);
            else if (!(reason instanceof Unreachable)) failed.error = isTooLong(reason) ? `${problemText(reason)} ${t("chat.toolong")}` : problemText(reason);
        }
        const meta: MessageMeta = {...message.meta, ...this.live.finish(), ...failed, ...(this.#leftOut > 0 ? {left_out: this.#leftOut} : {})};
        if (meta.error !== undefined) delete meta.finish;
        await keeping; // so that the last state is written last
        await this.#keepSurely(meta);
        return {...message, content: this.live.text, reasoning: this.live.fullReasoning, meta};
    }

    // The answer to as much of the conversation as the model's context takes.
    async *#events() {
        const {path, settings, model} = this.asked;
        for (const [tries, tight] of TIGHTER.entries()) {
            const part = model.n_ctx > 0 ? fitted(path, settings.system ?? "", model.n_ctx, tight) : {path, leftOut: 0};
            this.#leftOut = part.leftOut;
            try {
                yield* streamAnswer(answerRequest(settings, model, part.path), this.#abort.signal);
                return;
            } catch (reason) {
                if (!isTooLong(reason) || part.path.length === 1 || tries === TIGHTER.length - 1) throw reason;
            }
        }
    }

    async #keep(meta: MessageMeta): Promise<void> {
        const {conversation, message} = this.asked, {text: content, fullReasoning: reasoning} = this.live;
        await changeMessage(conversation, message.id, {content, reasoning, meta}, content.length + reasoning.length < KEEPALIVE_CHARACTERS);
    }

    async #keepSurely(meta: MessageMeta): Promise<void> {
        try {
            await this.#keep(meta);
        } catch (reason) {
            if (reason instanceof Unreachable) void connection.back().then(() => this.#keepSurely(meta));
            else notices.error(reason);
        }
    }
}

// The answers that are coming, of all conversations.
class Answers {
    #list = $state.raw<Answering[]>([]);

    start(asked: Asked, onDraw: () => void): Answering {
        const answer = new Answering(asked, onDraw), {conversation} = asked;
        this.#list = [...this.#list, answer];
        otherWindows.answers(conversation);
        void answer.ended.then(() => {
            this.#list = this.#list.filter((a) => a !== answer);
            if (this.of(conversation).length === 0) otherWindows.answered(conversation);
        });
        return answer;
    }

    of(conversation: string | null): Answering[] {
        return this.#list.filter((a) => a.asked.conversation === conversation);
    }

    // Those of a conversation; resolves when they are kept.
    async stop(conversation: string | null): Promise<void> {
        const coming = this.of(conversation);
        for (const answer of coming) answer.stop();
        await Promise.all(coming.map((answer) => answer.ended));
    }

    interrupt(): void {
        for (const answer of this.#list) answer.stop("interrupted");
    }
}

export const answers = new Answers();

// What there is of an answer when the page is left is kept with its last breath.
addEventListener("pagehide", () => answers.interrupt());
