// stream.mjs - one streamed answer over a connection of its own: its text, the times of its pieces,
// and the end when the client leaves after some of them.
import http from "node:http";

export const chatBody = (question, maxTokens, more = {}) =>
    ({messages: [{role: "user", content: question}], temperature: 0, max_tokens: maxTokens, stream: true, ...more});

// The data of server-sent events, as they come in pieces of bytes.
function eventReader(take) {
    let rest = "";
    return (text) => {
        const lines = (rest + text).split("\n");
        rest = lines.pop();
        for (const line of lines) if (line.startsWith("data: ")) take(line.slice(6));
    };
}

// Resolves to {text, left, reason, firstMs, gapsMs}; rejects for whatever a client must not see.
// `leaveAfter` pieces the client hangs up.
export function streamed(url, body, {leaveAfter = Infinity, agent} = {}) {
    return new Promise((resolve, reject) => {
        const begun = performance.now(), result = {text: "", left: false, reason: null, firstMs: null, gapsMs: []};
        let last = begun, n = 0, whole = false;
        const request = http.request(`${url}/v1/chat/completions`, {method: "POST", agent, headers: {"content-type": "application/json"}});
        const take = eventReader((data) => {
            if (data === "[DONE]") return whole = true;
            const {choices: [choice], error} = JSON.parse(data);
            if (error) return reject(new Error(error.message));
            if (!choice) return;
            result.reason = choice.finish_reason ?? result.reason;
            const piece = (choice.delta.reasoning_content ?? "") + (choice.delta.content ?? "");
            if (!piece || result.left) return;
            const now = performance.now();
            if (n++ === 0) result.firstMs = now - begun;
            else result.gapsMs.push(now - last);
            last = now;
            result.text += piece;
            if (n < leaveAfter) return;
            result.left = true;
            request.destroy();
            resolve(result);
        });
        request.on("response", (response) => {
            let text = "";
            response.setEncoding("utf8");
            response.on("data", response.statusCode === 200 ? take : (piece) => text += piece);
            response.on("end", () => {
                if (response.statusCode !== 200) reject(new Error(`${response.statusCode} ${text}`));
                else if (!whole) reject(new Error("the stream ended in the middle"));
                else resolve(result);
            });
            response.on("error", (error) => result.left || reject(error));
        });
        request.on("error", (error) => result.left || reject(error));
        request.end(JSON.stringify(body));
    });
}
