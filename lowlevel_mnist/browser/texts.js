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
          "Write a digit with a finger, a mouse or a pen, and watch what a neural network makes " +
          "of it.",
        drawings:
          `This network did not learn MNIST's digits but ${names.length} classes of other ` +
          "drawings. Draw one, or load a test image.",
        pictures:
          `This network did not learn digits but pictures of ${names.length} classes. A drawing ` +
          "looks like none of them: load a test image, draw on it, erase a part.",
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
    themes: { light: "Light theme", dark: "Dark theme" },
    penDown: "Pen down",
    answerTitle: "The answer",
    notSure: "Not sure",
    nothing: "Nothing yet",
    truth: (name, isRight) => `${isRight ? "✓ right" : "✗ wrong"}, the true class is ${name}`,
    seenTitle: "What the network sees",
    seen: (width, height) => `What the network sees, ${width} by ${height} pixels`,
    otherDigits: (count) => `${count + 1} pieces of ink; only the largest is read.`,
    fitted: "Cut out, scaled and centred as in training.",
    probabilitiesTitle: "Probability of each class",
    probabilitiesNote:
      "Click or tap a class to see what speaks for it, again to let go; a mouse need only point.",
    reasonsTitle: (name) => `What speaks for ${name}, and what against`,
    noReasons: "What speaks for the answer, and what against",
    legendFor: "red, filled: raises its logit",
    legendAgainst: "blue, dotted: lowers it",
    sumFor: "sum for it",
    sumAgainst: "sum against it",
    sumBiases: "from the biases",
    logit: "total (logit)",
    reasonsNote: ({ layers }) =>
      layers.length === 1
        ? "Each pixel's brightness times its weight. Softmax makes the probabilities of how the " +
          "logits differ."
        : "Each pixel's brightness times the logit's gradient. Softmax makes the probabilities of " +
          "how the logits differ.",
    contributions: (name, positive, negative) =>
      `Map of the pixels: ${positive} for ${name}, ${negative} against it`,
    hiddenTitle: (layer, layers) =>
      layers === 1 ? "The most active hidden units" : `The most active units of hidden layer ${layer}`,
    hiddenNote: (layer) =>
      layer === 1
        ? "Each picture shows a unit's weights: red and filled where a brighter pixel raises its " +
          "output, blue and dotted where it lowers it. Below: the unit's number and output."
        : "Each picture shows where a brighter pixel of this image would raise the unit's output " +
          "(red, filled) or lower it (blue, dotted). Below: the unit's number and output.",
    unit: (unit, output) => `Unit ${unit}, output ${output}`,
    examplesTitle: (content) =>
      `${content.images.length} test images, which the network did not learn from`,
    examplesNote: ({ mistakes }) =>
      "Click one to load it. Below each: its true class, then what the network says. " +
      (mistakes > 0
        ? `✗ marks mistakes: ${mistakes} of these, picked on purpose, so this is no error rate.`
        : "All of these are right."),
    example: (number, truth, predicted, isRight) =>
      `Test image ${number}: ${truth}, read as ${predicted}, ${isRight ? "right" : "wrong"}`,
    about: ({ recipe, layerSizes, title, accuracy, tested }) =>
      `Network: ${recipe ? `recipe ${recipe}, ` : ""}${layerSizes.join("-")}, trained on ${title}. ` +
      `Test accuracy ${accuracy.toFixed(4)} on ${tested.toLocaleString("en")} images.`,
    privacy: "Everything is in this file; nothing that you draw leaves it. Made by lowlevel_mnist.",
  },
  ko: {
    title: ({ kind }) =>
      ({
        digits: "숫자를 써 보세요",
        drawings: "그림을 그려 보세요",
        pictures: "이미지를 고쳐 보세요",
      })[kind],
    invitation: ({ kind, names }) =>
      ({
        digits:
          "손가락이나 마우스, 펜으로 숫자를 하나 쓰면 신경망이 어떻게 읽는지 바로 볼 수 있습니다.",
        drawings:
          `이 신경망은 MNIST의 숫자가 아니라 다른 그림 ${names.length}개 클래스를 배웠습니다. ` +
          "그중 하나를 그리거나 테스트 이미지를 불러오세요.",
        pictures:
          `이 신경망은 숫자가 아니라 ${names.length}개 클래스의 이미지를 배웠습니다. 손으로 그린 ` +
          "그림은 어느 클래스와도 닮지 않았으므로, 테스트 이미지를 불러온 다음 덧그리거나 일부를 " +
          "지워 보세요.",
      })[kind],
    hint: ({ kind }) =>
      ({
        digits: "여기에 쓰세요",
        drawings: "여기에 그리세요",
        pictures: "테스트 이미지를 불러오세요",
      })[kind],
    canvas: "그리는 곳",
    keys:
      "키보드: 화살표 키로 펜을 옮기고(Shift를 함께 누르면 더 멀리), 스페이스 키로 펜을 대거나 " +
      "떼고, Ctrl+Z로 마지막 획을 취소합니다.",
    eraser: "지우개",
    undo: "한 획 취소",
    clear: "모두 지우기",
    width: "펜 굵기",
    language: "English",
    themes: { light: "밝은 화면", dark: "어두운 화면" },
    penDown: "펜을 댄 상태",
    answerTitle: "신경망의 답",
    notSure: "확실하지 않음",
    nothing: "아직 없음",
    truth: (name, isRight) => `${isRight ? "✓ 맞음" : "✗ 틀림"}, 정답: ${name}`,
    seenTitle: "신경망이 보는 이미지",
    seen: (width, height) => `신경망이 보는 이미지, 가로 ${width}픽셀, 세로 ${height}픽셀`,
    otherDigits: (count) =>
      `서로 떨어진 획 ${count + 1}덩어리 가운데 가장 큰 것만 읽었습니다.`,
    fitted: "학습 이미지처럼 오려 내고 크기와 위치를 맞췄습니다.",
    probabilitiesTitle: "클래스별 확률",
    probabilitiesNote:
      "클래스를 누르면 그 클래스에 유리한 픽셀과 불리한 픽셀을 보여 줍니다. 다시 누르면 풀립니다. " +
      "마우스는 올리기만 해도 됩니다.",
    reasonsTitle: (name) => `‘${name}’에 유리한 픽셀과 불리한 픽셀`,
    noReasons: "답에 유리한 픽셀과 불리한 픽셀",
    legendFor: "빨강(채움): 로짓을 높임",
    legendAgainst: "파랑(점): 로짓을 낮춤",
    sumFor: "로짓을 높이는 값의 합",
    sumAgainst: "로짓을 낮추는 값의 합",
    sumBiases: "편향의 몫",
    logit: "모두 더하면(로짓)",
    reasonsNote: ({ layers }) =>
      layers.length === 1
        ? "각 픽셀의 밝기에 그 픽셀의 가중치를 곱한 값입니다. 소프트맥스는 로짓의 차이로 확률을 " +
          "정합니다."
        : "각 픽셀의 밝기에 그 픽셀에 대한 로짓의 기울기(그래디언트)를 곱한 값입니다. " +
          "소프트맥스는 로짓의 차이로 확률을 정합니다.",
    contributions: (name, positive, negative) =>
      `픽셀별 지도: ‘${name}’의 로짓을 높이는 값 ${positive}, 낮추는 값 ${negative}`,
    hiddenTitle: (layer, layers) =>
      layers === 1 ? "출력이 가장 큰 은닉 유닛" : `은닉층 ${layer}에서 출력이 가장 큰 유닛`,
    hiddenNote: (layer) =>
      layer === 1
        ? "각 그림은 유닛의 가중치입니다. 빨갛게 채운 픽셀이 밝을수록 유닛의 출력이 커지고, 파란 " +
          "점을 찍은 픽셀이 밝을수록 작아집니다. 그림 아래는 유닛의 번호와 출력입니다."
        : "지금 이미지에서 픽셀이 밝아지면 유닛의 출력이 커지는 곳(빨강, 채움)과 작아지는 " +
          "곳(파랑, 점)입니다. 그림 아래는 유닛의 번호와 출력입니다.",
    unit: (unit, output) => `유닛 ${unit}, 출력 ${output}`,
    examplesTitle: (content) => `학습에 쓰지 않은 테스트 이미지 ${content.images.length}장`,
    examplesNote: ({ mistakes }) =>
      "이미지를 누르면 불러옵니다. 이미지 아래 첫 줄은 정답, 둘째 줄은 신경망의 답입니다. " +
      (mistakes > 0
        ? `✗는 틀린 답입니다(${mistakes}장). 일부러 골라 넣었으므로 실제 오답 비율과는 다릅니다.`
        : "여기 있는 답은 모두 맞습니다."),
    example: (number, truth, predicted, isRight) =>
      `테스트 이미지 ${number}: 정답 ${truth}, 신경망의 답 ${predicted}, ${isRight ? "맞음" : "틀림"}`,
    about: ({ recipe, layerSizes, dataset, title, accuracy, tested }) =>
      `신경망: ${recipe ? `레시피 ${recipe}, ` : ""}${layerSizes.join("-")}, 학습 데이터 ` +
      `${{ digits: "내장 손글씨 숫자", custom: "사용자 데이터" }[dataset] ?? title}. 테스트 정확도 ` +
      `${accuracy.toFixed(4)}(이미지 ${tested.toLocaleString("ko")}장).`,
    privacy:
      "필요한 것은 모두 이 파일에 들어 있고, 그린 그림은 어디로도 전송되지 않습니다. " +
      "lowlevel_mnist로 만들었습니다.",
  },
};
