"use strict";
// What the page says, in English and Korean. A text that depends on something is a function of it.

const percent = (fraction) => `${(100 * fraction).toFixed(1)}%`;
const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;

const TEXTS = {
  en: {
    title: ({ kind }) =>
      ({
        digits: "Draw a digit",
        drawings: "Draw something",
        pictures: "Change a picture",
      })[kind],
    invitation: ({ kind, names }) =>
      ({
        digits:
          "Write a digit from 0 to 9 with a finger, a mouse or a pen, and watch what a neural " +
          "network makes of it.",
        drawings:
          `This network did not learn MNIST's digits, but other drawings, of ${names.length} ` +
          `classes: ${names.join(", ")}. Draw one of them, or load a test image.`,
        pictures:
          `This network did not learn digits, but pictures of ${names.length} classes: ` +
          `${names.join(", ")}. A drawing looks like none of them: load a test image, then draw ` +
          "on it, or erase a part of it.",
      })[kind],
    hint: ({ kind }) => (kind === "pictures" ? "Load a test image" : "Draw here"),
    canvas: "Drawing area",
    keys:
      "Keys: the arrows move the pen (with Shift further), the space bar puts it down and lifts " +
      "it, Ctrl+Z takes a stroke back.",
    eraser: "Eraser",
    undo: "Undo",
    clear: "Clear",
    width: "Pen width",
    language: "한국어",
    themes: { light: "Light", dark: "Dark" },
    answerTitle: "The answer",
    nothing: "Nothing yet",
    truth: (name, isRight) => `${isRight ? "✓ right" : "✗ wrong"}, the true class is ${name}`,
    seenTitle: "What the network sees",
    seen: (width, height) => `What the network sees, ${width} by ${height} pixels`,
    others: (count) =>
      count === 1
        ? "One more piece of ink could be read for itself; this is the largest."
        : `${count} more pieces of ink could be read for themselves; this is the largest.`,
    chancesTitle: "Probability of each class",
    chancesNote: "Point at a class to see what speaks for it; a click keeps it.",
    reasonsTitle: (name) => `What speaks for ${name}, and what against`,
    noReasons: "What speaks for the answer, and what against",
    legendFor: "red, filled: speaks for it",
    legendAgainst: "blue, dotted: speaks against it",
    sumFor: "for it",
    sumAgainst: "against it",
    sumBlank: "without ink",
    logit: "together (logit)",
    reasonsNote: ({ layers }) =>
      layers.length === 1
        ? "Each pixel's brightness times its weight. Softmax makes probabilities of the logits."
        : "Each pixel's brightness times the gradient of the logit. Softmax makes probabilities " +
          "of the logits.",
    contributions: (name, positive, negative) =>
      `Map of the pixels: for ${name} ${positive}, against it ${negative}`,
    hiddenTitle: (layer, layers) =>
      layers === 1 ? "The most active hidden units" : `The most active units of hidden layer ${layer}`,
    hiddenNote: (layer) =>
      layer === 1
        ? "Each picture shows a unit's weights: red and filled where ink excites it, blue and " +
          "dotted where ink holds it back. Below: number and output."
        : "Each picture shows where more ink would excite the unit (red, filled) or hold it back " +
          "(blue, dotted), with this drawing. Below: number and output.",
    unit: (unit, output) => `Unit ${unit}, output ${output}`,
    examplesTitle: (content) =>
      `${content.images.length} test images, which the network did not learn from`,
    examplesNote: ({ mistakes }) =>
      "Click one to load it. Below each: its true class, and what the network says. " +
      (mistakes > 0
        ? `✗ marks mistakes: ${mistakes} of these, more than in a fair sample.`
        : "All of these are right."),
    example: (truth, said, isRight) =>
      `Test image: ${truth}, read as ${said}, ${isRight ? "right" : "wrong"}`,
    about: ({ recipe, layerSizes, title, accuracy, tested }) =>
      `Network: recipe ${recipe}, ${layerSizes.join("-")}, trained on ${title}. Test accuracy ` +
      `${accuracy.toFixed(4)} on ${tested.toLocaleString("en")} images.`,
    privacy: "Everything is in this file; nothing that you draw leaves it. Made by lowlevel_mnist.",
  },
  ko: {
    title: ({ kind }) =>
      ({
        digits: "숫자를 써 보세요",
        drawings: "그림을 그려 보세요",
        pictures: "이미지를 바꿔 보세요",
      })[kind],
    invitation: ({ kind, names }) =>
      ({
        digits:
          "손가락이나 마우스, 펜으로 0부터 9까지의 숫자를 하나 쓰면 신경망이 그것을 어떻게 " +
          "읽는지 바로 볼 수 있습니다.",
        drawings:
          "이 신경망은 MNIST의 숫자가 아니라 다른 그림을 배웠습니다. 클래스는 " +
          `${names.length}개(${names.join(", ")})입니다. 그중 하나를 그리거나 테스트 이미지를 ` +
          "불러오세요.",
        pictures:
          `이 신경망은 숫자가 아니라 ${names.length}개 클래스(${names.join(", ")})의 이미지를 ` +
          "배웠습니다. 손으로 그린 그림은 어느 것과도 닮지 않으니, 테스트 이미지를 불러온 다음 " +
          "그 위에 그리거나 일부를 지워 보세요.",
      })[kind],
    hint: ({ kind }) => (kind === "pictures" ? "테스트 이미지를 불러오세요" : "여기에 그리세요"),
    canvas: "그리는 곳",
    keys:
      "키보드: 화살표 키로 펜을 옮기고(Shift와 함께 누르면 더 멀리), 스페이스 바로 펜을 내리거나 " +
      "들고, Ctrl+Z로 한 획을 취소합니다.",
    eraser: "지우개",
    undo: "한 획 취소",
    clear: "모두 지우기",
    width: "펜 굵기",
    language: "English",
    themes: { light: "밝게", dark: "어둡게" },
    answerTitle: "답",
    nothing: "아직 없음",
    truth: (name, isRight) => `${isRight ? "✓ 맞음" : "✗ 틀림"}, 정답: ${name}`,
    seenTitle: "신경망이 보는 이미지",
    seen: (width, height) => `신경망이 보는 이미지, 가로 ${width}, 세로 ${height} 픽셀`,
    others: (count) => `따로 읽을 수 있는 획 덩어리가 ${count}개 더 있어, 가장 큰 것만 읽었습니다.`,
    chancesTitle: "클래스별 확률",
    chancesNote: "클래스를 가리키면 그 근거가 나타나고, 누르면 고정됩니다.",
    reasonsTitle: (name) => `‘${name}’의 근거와 반대 근거`,
    noReasons: "답의 근거와 반대 근거",
    legendFor: "빨강, 채움: 근거",
    legendAgainst: "파랑, 점: 반대 근거",
    sumFor: "근거의 합",
    sumAgainst: "반대 근거의 합",
    sumBlank: "빈 이미지의 몫",
    logit: "모두 더하면(로짓)",
    reasonsNote: ({ layers }) =>
      layers.length === 1
        ? "각 픽셀의 밝기에 가중치를 곱한 값입니다. 소프트맥스가 로짓을 확률로 바꿉니다."
        : "각 픽셀의 밝기에 로짓의 기울기를 곱한 값입니다. 소프트맥스가 로짓을 확률로 바꿉니다.",
    contributions: (name, positive, negative) =>
      `픽셀별 지도: ‘${name}’의 근거 ${positive}, 반대 근거 ${negative}`,
    hiddenTitle: (layer, layers) =>
      layers === 1 ? "가장 활발한 은닉 유닛" : `은닉층 ${layer}에서 가장 활발한 유닛`,
    hiddenNote: (layer) =>
      layer === 1
        ? "각 그림은 유닛의 가중치입니다. 빨갛게 채운 곳의 획은 유닛을 활성화하고, 파란 점이 찍힌 " +
          "곳의 획은 억제합니다. 아래는 번호와 출력입니다."
        : "각 그림은 지금 이미지에서 획이 더해지면 유닛이 활성화되는 곳(빨강, 채움)과 억제되는 " +
          "곳(파랑, 점)입니다. 아래는 번호와 출력입니다.",
    unit: (unit, output) => `유닛 ${unit}, 출력 ${output}`,
    examplesTitle: (content) => `학습에 쓰지 않은 테스트 이미지 ${content.images.length}장`,
    examplesNote: ({ mistakes }) =>
      "누르면 불러옵니다. 아래는 정답과 신경망의 답입니다. " +
      (mistakes > 0
        ? `✗는 틀린 답으로, 실제 비율보다 많은 ${mistakes}장을 일부러 골랐습니다.`
        : "여기 있는 답은 모두 맞습니다."),
    example: (truth, said, isRight) =>
      `테스트 이미지: 정답 ${truth}, 신경망의 답 ${said}, ${isRight ? "맞음" : "틀림"}`,
    about: ({ recipe, layerSizes, title, accuracy, tested }) =>
      `신경망: 레시피 ${recipe}, ${layerSizes.join("-")}, 학습 데이터 ${title}. 테스트 이미지 ` +
      `${tested.toLocaleString("ko")}장에서 정확도 ${accuracy.toFixed(4)}.`,
    privacy:
      "모든 것이 이 파일 안에 있으며, 그린 것은 어디로도 전송되지 않습니다. lowlevel_mnist로 " +
      "만들었습니다.",
  },
};
